package adminport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/builtin"
)

// greetWithin is how long a login waits for the cluster's state.
const greetWithin = time.Second

// greeting is what a person reads after login: a line, and one more after failed
// logins under that name.
func (s *Server) greeting(ctx context.Context, user string) string {
	line := s.health(ctx, user)
	failed, some := s.gate.failed.show(user)
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

// health is the first line of the greeting: which cluster this is and whether it is well.
func (s *Server) health(ctx context.Context, user string) string {
	ctx, cancel := context.WithTimeout(ctx, greetWithin)
	defer cancel()
	health := "no primary"
	switch status, err := control.Get(ctx, s.host.Control(user), control.StatusQuery{}); {
	case err == nil:
		health = builtin.Greeting(status, time.Now())
	case errors.Is(err, control.ErrUnavailable):
		health = err.Error() // it says since when
	}
	name := strings.TrimSpace(s.host.Name + " " + s.host.AppVersion)
	return commands.Safe(fmt.Sprintf("%s: %s. help: help or ?", name, health))
}
