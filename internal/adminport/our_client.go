package adminport

import (
	"io"
	"strconv"

	"github.com/norestart/norestart/commands"
)

// What only our own client is told: docs/protocol.md, "To our own client".

// ourVersion and ourProtocol are how our client introduces itself: in ssh, and as
// the protocol of a TLS connection (ALPN, RFC 7301).
const (
	ourVersion  = "SSH-2.0-norestart"
	ourProtocol = "norestart"
)

// wantRequest says that the command waits for a line of input. Our client reads
// its own input only then.
const wantRequest = "want@norestart"

// marksRequest asks for marks in the output of exec. There are none if the key
// forces a command, because the client does not know what it would resume.
const marksRequest = "marks@norestart"

const keyCancel = 0x03

func (c *channel) isOurs() bool { return string(c.sc.ClientVersion()) == ourVersion }

func (c *channel) want() {
	if c.isOurs() {
		_, _ = c.ch.SendRequest(wantRequest, false, nil) // a client that has gone ends the command
	}
}

// mark is a message for our client within the output: an application program
// command (ECMA-48 §8.3.2), which terminals do not show.
func mark(kind, value string) string {
	return "\x1b_norestart;" + kind + ";" + commands.Safe(value) + "\x1b\\"
}

// marks lets commands send marks to our client; nil for other clients.
func marks(ours bool) func(kind, value string) string {
	if ours {
		return mark
	}
	return nil
}

func (c *channel) takeMarks() bool {
	if c.started || !c.isOurs() || c.rights().Forced {
		return false
	}
	c.marked = true
	return true
}

// tell sends a mark through the editor.
func (t *terminal) tell(kind, value string) {
	if t.ch.isOurs() {
		_, _ = io.WriteString(t.raw, mark(kind, value)) // a client that has gone is seen by the next read
	}
}

func (sh *lineShell) isOurs() bool { return sh.tls.ConnectionState().NegotiatedProtocol == ourProtocol }

// prompt asks for a line. Our client shows the text itself.
func (sh *lineShell) prompt(kind, text string) string {
	if sh.isOurs() {
		return mark(kind, text)
	}
	return text
}

func (sh *lineShell) tell(kind, value string) {
	if sh.isOurs() {
		_, _ = io.WriteString(sh.out, mark(kind, value)) // a client that has gone is seen by the next read
	}
}

// over tells our client that the session ended on purpose, with its exit status,
// so that it does not connect again.
func (sh *lineShell) over(sess *session, last int) {
	status := commands.StatusFailed
	switch {
	case sess.left.Load():
		status = commands.StatusOK
	case sess.stopping():
		status = last
	}
	sh.tell("bye", strconv.Itoa(status))
}

// withoutCancel removes Ctrl-C from the input of a TLS line shell.
func withoutCancel(p []byte, cancel func()) int {
	n := 0
	for _, b := range p {
		if b == keyCancel {
			cancel()
			continue
		}
		p[n] = b
		n++
	}
	return n
}
