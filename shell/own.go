package shell

// What our own client is told, and other clients are not.

// ownVersion is how our client introduces itself.
const ownVersion = "SSH-2.0-norestart"

// wantRequest says that the command waits for a line of input. The client reads
// its own input only then; others send it ahead.
const wantRequest = "want@norestart"

// own reports whether the client is ours.
func (c *channel) own() bool { return string(c.sc.ClientVersion()) == ownVersion }

// want asks our client for a line.
func (c *channel) want() {
	if c.own() {
		_, _ = c.ch.SendRequest(wantRequest, false, nil) // a client that has gone ends the command
	}
}
