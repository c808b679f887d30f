package adminport

import (
	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

// rights are what the key lets do that opened the connection.
func (c *channel) rights() users.Key {
	id, _ := identityOf(c.sc.Permissions) // handle ends a channel without an identity
	return id.rights
}

// forces reports whether the key's own command replaces what a request would
// start. That includes subsystems, as in sshd(8).
func (c *channel) forces(req *gossh.Request) bool {
	switch req.Type {
	case "shell", "exec", "subsystem":
		return c.rights().Forced
	}
	return false
}

// takeForced turns a request into one for the key's command. The original is kept
// only for the audit log.
func (c *channel) takeForced(req *gossh.Request) bool {
	asked, ok := req.Type, true
	if req.Type != "shell" {
		var what string
		what, _, ok = takeString(req.Payload)
		asked += " " + what
	}
	if !ok || c.started || len(asked) > maxCommand {
		return false
	}
	c.started, c.exec, c.command = true, true, c.rights().Command
	c.asked = audit.QuoteCut(asked)
	return true
}
