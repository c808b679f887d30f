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

// connKey and channelKey find what is ours in a gliderlabs context.
type (
	connKey    struct{}
	channelKey struct{}
)

// channel is one ssh session channel between the wire and gliderlabs: it
// filters the requests and keeps what they said.
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

// channelContext is the context of a gliderlabs session: of the channel, not
// of the connection.
type channelContext struct {
	gliderssh.Context
	channel *channel
}

func (c channelContext) Done() <-chan struct{}       { return c.channel.ctx.Done() }
func (c channelContext) Err() error                  { return c.channel.ctx.Err() }
func (c channelContext) Deadline() (time.Time, bool) { return c.channel.ctx.Deadline() }
func (c channelContext) Value(key any) any {
	if key == (channelKey{}) {
		return c.channel
	}
	return c.Context.Value(key)
}

// openChannel is the handler of "session" channels. gliderlabs calls it on a
// goroutine of its own.
func (s *Server) openChannel(g *gliderssh.Server, sc *gossh.ServerConn, nc gossh.NewChannel, ctx gliderssh.Context) {
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
	gliderssh.DefaultSessionHandler(g, sc, ch, channelContext{ctx, ch})
}

// Accept opens the channel and puts the filter before its requests.
func (c *channel) Accept() (gossh.Channel, <-chan *gossh.Request, error) {
	ch, in, err := c.NewChannel.Accept()
	if err != nil {
		return nil, nil, err
	}
	c.ch = ch
	out := make(chan *gossh.Request)
	if !c.conn.start(func() { c.filter(in, out) }) {
		return nil, nil, errClosed
	}
	return ch, out, nil
}

// filter answers requests or passes them on until the client closes the
// channel. gliderlabs always receives what is passed on: what would make it
// block (window changes, signals, breaks) is not.
func (c *channel) filter(in <-chan *gossh.Request, out chan<- *gossh.Request) {
	defer close(out)
	defer c.cancel(commands.ErrHangup)
	unstarted := time.AfterFunc(c.conn.srv.cfg.NoChannelTimeout, func() {
		_ = c.ch.Close() // the connection may be gone
	})
	defer unstarted.Stop()
	for req := range in {
		if c.take(req) {
			if c.started {
				unstarted.Stop()
			}
			out <- req
		}
	}
}

// take looks at one request and reports whether gliderlabs may have it. What
// it may not have has been answered.
func (c *channel) take(req *gossh.Request) bool {
	var pass, answer bool
	if c.forces(req) {
		pass = c.takeForced(req)
	} else {
		pass, answer = c.takeAsked(req)
	}
	if !pass {
		_ = req.Reply(answer, nil) // an error ends the loop of requests by itself
	}
	return pass
}

// takeAsked looks at a request where the key runs no command of its own. What
// is not passed on is answered with answer.
func (c *channel) takeAsked(req *gossh.Request) (pass, answer bool) {
	switch req.Type {
	case "pty-req":
		pass = c.takePty(req)
	case "env":
		c.envs++
		pass = c.envs <= maxEnv && allowedEnv(req.Payload)
		if pass && !c.started && refusesColour(req.Payload) {
			c.noColour = true
		}
	case "shell":
		pass = !c.started
		c.started = true
	case "exec":
		pass = c.takeExec(req.Payload)
	case "window-change":
		answer = c.takeWindow(req.Payload)
	case "signal":
		answer = c.takeSignal(req.Payload)
	case marksRequest:
		answer = c.takeMarks()
	}
	return pass, answer
}

func (c *channel) takePty(req *gossh.Request) bool {
	pty, ok := parsePty(req.Payload)
	if !ok || c.pty != nil || c.started || c.rights().NoPty {
		return false
	}
	c.pty = &pty
	c.setSize(pty.size)
	req.Payload = pty.payload()
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

// exit ends the channel: exit-status, end of file, close. gliderlabs' own
// Exit(0), which follows, finds it closed.
func (c *channel) exit(status int) {
	payload := gossh.Marshal(struct{ Status uint32 }{uint32(status)})
	_, err := c.ch.SendRequest("exit-status", false, payload)
	if err := errors.Join(err, c.ch.CloseWrite(), c.ch.Close()); err != nil {
		c.cancel(commands.ErrHangup)
	}
}
