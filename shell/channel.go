package shell

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	gliderssh "github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/commands"
)

// netConn is spelled out once for the callback of gliderlabs.
type netConn = net.Conn

// connKey finds what is ours in a gliderlabs context.
type connKey struct{}

// channel is one ssh session channel: it answers the requests and keeps what
// they said. gliderlabs' own session would do so with a goroutine more, and with
// holes that need a filter before it.
type channel struct {
	gossh.NewChannel
	conn *conn
	sc   *gossh.ServerConn
	ch   gossh.Channel

	// ctx ends when the client closes the channel, and not only when the
	// connection ends: with ControlMaster they differ.
	ctx    context.Context
	cancel context.CancelCauseFunc

	// Set before the session starts, not changed after it.
	pty      *ptyRequest // nil: none
	exec     bool
	command  string // of exec
	asked    string // what a forced command took the place of
	noColour bool   // NO_COLOR is set
	marked   bool   // our client wants marks in the output of exec

	envs       int
	started    bool
	resized    chan struct{} // 1 slot
	interrupts chan struct{} // 1 slot

	mu   sync.Mutex // protects size
	size windowSize
}

// openChannel is the handler of "session" channels. gliderlabs calls it on a
// goroutine of its own.
func (s *Server) openChannel(_ *gliderssh.Server, sc *gossh.ServerConn, nc gossh.NewChannel, ctx gliderssh.Context) {
	c := ctx.Value(connKey{}).(*conn)
	if !c.enter() {
		return
	}
	defer c.leave()
	defer c.survive("channel")
	c.keep.start(c, sc, s.cfg.KeepaliveInterval)
	if !c.openSession(s.cfg.MaxSessions) {
		_ = nc.Reject(gossh.ResourceShortage, "too many sessions")
		return
	}
	defer c.closeSession()
	ch := &channel{
		NewChannel: nc, conn: c, sc: sc,
		resized: make(chan struct{}, 1), interrupts: make(chan struct{}, 1),
	}
	ch.ctx, ch.cancel = context.WithCancelCause(context.Background())
	defer ch.cancel(commands.ErrHangup)
	ch.serveRequests()
}

// serveRequests opens the channel and answers what the client asks for on it
// until it closes it. Nothing here waits for the session.
func (c *channel) serveRequests() {
	ch, requests, err := c.NewChannel.Accept()
	if err != nil {
		return
	}
	c.ch = ch
	unstarted := time.AfterFunc(c.conn.srv.cfg.NoChannelTimeout, func() {
		_ = ch.Close() // the connection may be gone
	})
	defer unstarted.Stop()
	running := false
	for req := range requests {
		_ = req.Reply(c.take(req), nil) // an error ends the loop by itself
		if !running && c.started {
			running = true
			unstarted.Stop()
			c.conn.start(func() { c.conn.srv.handle(c) })
		}
	}
}

// take looks at one request and reports whether it is granted.
func (c *channel) take(req *gossh.Request) bool {
	if c.forces(req) {
		return c.takeForced(req)
	}
	return c.takeAsked(req)
}

// takeAsked looks at a request where the key runs no command of its own.
func (c *channel) takeAsked(req *gossh.Request) bool {
	switch req.Type {
	case "pty-req":
		return c.takePty(req.Payload)
	case "env":
		return c.takeEnv(req.Payload)
	case "shell":
		first := !c.started
		c.started = true
		return first
	case "exec":
		return c.takeExec(req.Payload)
	case "window-change":
		return c.takeWindow(req.Payload)
	case "signal":
		return c.takeSignal(req.Payload)
	case marksRequest:
		return c.takeMarks()
	}
	return false
}

func (c *channel) takePty(payload []byte) bool {
	pty, ok := parsePty(payload)
	if !ok || c.pty != nil || c.started || c.rights().NoPty {
		return false
	}
	c.pty = &pty
	c.setSize(pty.size)
	return true
}

// takeEnv keeps of a variable only what it means for colours.
func (c *channel) takeEnv(payload []byte) bool {
	c.envs++
	if c.started || c.envs > maxEnv || !allowedEnv(payload) {
		return false
	}
	c.noColour = c.noColour || refusesColour(payload)
	return true
}

func (c *channel) takeExec(payload []byte) bool {
	command, _, ok := takeString(payload)
	if !ok || c.started || len(command) > maxCommand {
		return false
	}
	c.started, c.exec, c.command = true, true, command
	return true
}

func (c *channel) takeWindow(payload []byte) bool {
	size, ok := parseWindow(payload)
	if !ok || c.pty == nil {
		return false
	}
	c.setSize(size)
	poke(c.resized)
	return true
}

// takeSignal cancels the running command, whatever of these is sent.
func (c *channel) takeSignal(payload []byte) bool {
	name, _, ok := takeString(payload)
	if !ok {
		return false
	}
	switch name {
	case "INT", "TERM", "HUP":
		poke(c.interrupts)
		return true
	}
	return false
}

func (c *channel) setSize(size windowSize) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size = size
}

func (c *channel) window() windowSize {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}

// poke leaves a word in a channel of one slot.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// exit ends the channel: exit-status, end of file, close.
func (c *channel) exit(status int) {
	payload := gossh.Marshal(struct{ Status uint32 }{uint32(status)})
	_, err := c.ch.SendRequest("exit-status", false, payload)
	if err := errors.Join(err, c.ch.CloseWrite(), c.ch.Close()); err != nil {
		c.cancel(commands.ErrHangup)
	}
}
