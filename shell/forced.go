package shell

import (
	"strconv"

	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

// rights are what the key lets do that opened the connection.
func (c *channel) rights() users.Key {
	id, _ := identityOf(c.sc.Permissions) // handle ends a channel without an identity
	return id.rights
}

// forces reports whether the key puts its own command in the place of what a
// request would start. A subsystem is one of those, as in sshd(8).
func (c *channel) forces(req *gossh.Request) bool {
	switch req.Type {
	case "shell", "exec", "subsystem":
		return c.rights().Forced
	}
	return false
}

// takeForced takes a request for one for the key's command. What was asked for is
// kept for the audit log, and for nothing else.
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
	c.asked = strconv.QuoteToASCII(asked[:min(len(asked), audit.MaxText)])
	return true
}
