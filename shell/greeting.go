package shell

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

// greetWithin is how long a login waits for the cluster's state.
const greetWithin = time.Second

// greeting is what a person reads after login: a line, and one more when
// others have tried to be him.
func (s *Server) greeting(ctx context.Context, user string) string {
	line := s.health(ctx, user)
	failed, some := s.attempts.show(user)
	if !some {
		return line
	}
	return line + fmt.Sprintf("\n%d failed login%s as %s since you were last told, the last at %s from %s", failed.Failed, plural(failed.Failed),
		commands.Safe(user), failed.Last.Local().Format(time.DateTime), commands.Safe(failed.From))
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// health tells where one is and whether it is well.
func (s *Server) health(ctx context.Context, user string) string {
	ctx, cancel := context.WithTimeout(ctx, greetWithin)
	defer cancel()
	health := "no primary"
	switch status, err := s.host.Control(user).Status(ctx); {
	case err == nil:
		health = commands.Summary(status, time.Now())
	case errors.Is(err, control.ErrUnavailable):
		health = err.Error() // it knows since when
	}
	name := strings.TrimSpace(s.host.Name + " " + s.host.Version)
	return commands.Safe(fmt.Sprintf("%s: %s. help: help or ?", name, health))
}
