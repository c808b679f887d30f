package shell

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

// greetWithin is how long a login waits for the cluster's state.
const greetWithin = time.Second

// greeting is the one line that a person reads after login.
func (s *Server) greeting(ctx context.Context, user string) string {
	ctx, cancel := context.WithTimeout(ctx, greetWithin)
	defer cancel()
	health := "no primary"
	if status, err := s.host.Control(user).Status(ctx); err == nil {
		health = summary(status)
	}
	name := strings.TrimSpace(s.host.Name + " " + s.host.Version)
	return commands.Safe(fmt.Sprintf("%s: %s. help: help or ?", name, health))
}

// summary tells in half a line whether the application's pools are well.
func summary(status control.Status) string {
	if status.Primary == nil {
		return "no primary"
	}
	ready, target, dead, silent := 0, 0, 0, 0
	for _, pool := range status.Pools {
		if !pool.BuiltIn {
			ready += pool.Ready
			target += pool.Target
			dead += pool.Dead
			silent += pool.Silent
		}
	}
	health := "well"
	if ready < target || dead > 0 || silent > 0 {
		health = "NOT WELL"
	}
	text := fmt.Sprintf("%s, %d of %d workers ready", health, ready, target)
	if dead > 0 {
		text += fmt.Sprintf(", %d dead", dead)
	}
	if silent > 0 {
		text += fmt.Sprintf(", %d silent", silent)
	}
	return text
}

// strictTLS returns a copy with what must not be forgotten: TLS 1.3, and no
// tickets, with which a session outlives a change of the configuration.
func strictTLS(cfg *tls.Config) *tls.Config {
	if cfg == nil {
		return nil
	}
	cfg = cfg.Clone()
	cfg.MinVersion = tls.VersionTLS13
	cfg.SessionTicketsDisabled = true
	return cfg
}
