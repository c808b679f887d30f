package shell

import (
	"crypto/tls"
	"io"
	"strconv"

	"github.com/norestart/norestart/commands"
)

// What our own client is told, and other clients are not: docs/protocol.md,
// "To our own client".

// ownName is how our client introduces itself: its ssh version, and the
// protocol of its TLS connection (ALPN, RFC 7301).
const (
	ownVersion = "SSH-2.0-norestart"
	ownName    = "norestart"
)

// wantRequest says that the command waits for a line of input. The client reads
// its own input only then; others send it ahead.
const wantRequest = "want@norestart"

// marksRequest asks for marks in the output of exec. Where the key puts its own
// command in the place of the client's, there are none: the client could not
// know what it would begin again.
const marksRequest = "marks@norestart"

// keyCancel is Ctrl-C in the TLS line shell.
const keyCancel = 0x03

// own reports whether the client is ours.
func (c *channel) own() bool { return string(c.sc.ClientVersion()) == ownVersion }

// want asks our client for a line.
func (c *channel) want() {
	if c.own() {
		_, _ = c.ch.SendRequest(wantRequest, false, nil) // a client that has gone ends the command
	}
}

// mark is a word to our client between what it shows: an application program
// command (ECMA-48 §8.3.2), which a terminal would not show either.
func mark(kind, value string) string {
	return "\x1b_norestart;" + kind + ";" + commands.Safe(value) + "\x1b\\"
}

// marks gives commands a way to say what our client wants to know; nil for
// other clients.
func marks(own bool) func(kind, value string) string {
	if own {
		return mark
	}
	return nil
}

// takeMarks notes that our client wants marks. It has to ask before it starts
// a command.
func (c *channel) takeMarks() bool {
	if c.started || !c.own() || c.rights().Forced {
		return false
	}
	c.marked = true
	return true
}

// tell marks something for our client where the editor shows what is written.
func (t *terminal) tell(kind, value string) {
	if t.ch.own() {
		_, _ = io.WriteString(t.raw, mark(kind, value)) // a client that has gone is seen by the next read
	}
}

// own reports whether the client is ours.
func (sh *lineShell) own() bool { return sh.tls.ConnectionState().NegotiatedProtocol == ownName }

// prompt asks for a line. Our client shows the text itself.
func (sh *lineShell) prompt(kind, text string) string {
	if sh.own() {
		return mark(kind, text)
	}
	return text
}

// tell marks something for our client.
func (sh *lineShell) tell(kind, value string) {
	if sh.own() {
		_, _ = io.WriteString(sh.out, mark(kind, value)) // a client that has gone is seen by the next read
	}
}

// over tells our client that the session has ended on purpose, and with which
// exit status: it does not connect again.
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

// withoutCancel takes Ctrl-C out of what the client of a TLS line shell has
// sent.
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

// offerOwn lets our client introduce itself. A client that names no protocol, as
// openssl s_client does, is served as well.
func offerOwn(cfg *tls.Config) *tls.Config {
	if cfg != nil {
		cfg.NextProtos = append([]string{ownName}, cfg.NextProtos...)
	}
	return cfg
}
