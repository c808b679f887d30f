package adminport

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	gliderssh "github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/commandline"
)

// netConn is for the callback of gliderlabs.
type netConn = net.Conn

// connKey is the key of our conn in a gliderlabs context.
type connKey struct{}

// channel is one ssh session channel: it answers the requests and keeps what they
// set. The session of gliderlabs would need another goroutine and a filter in
// front of it.
type channel struct {
	gossh.NewChannel
	conn *conn
	sc   *gossh.ServerConn
	ch   gossh.Channel
	in   *intake // input of the client

	// ctx ends when the client closes the channel. With ControlMaster the
	// connection may go on.
	ctx    context.Context
	cancel context.CancelCauseFunc

	// Set before the session starts, then constant.
	pty      *ptyRequest
	exec     bool
	command  string
	asked    string // the command that a forced one replaced
	noColour bool   // NO_COLOR is set
	marked   bool   // our client wants marks in the output of exec

	envs       int
	started    bool
	resized    chan struct{}
	interrupts chan struct{}

	mu   sync.Mutex // protects size
	size windowSize
}

// openChannel handles "session" channels. gliderlabs calls it on a goroutine of
// its own.
func (s *Server) openChannel(_ *gliderssh.Server, sc *gossh.ServerConn, nc gossh.NewChannel, ctx gliderssh.Context) {
	c := ctx.Value(connKey{}).(*conn)
	if !c.enter() {
		return
	}
	defer c.leave()
	defer c.survive("channel")
	c.keep.start(c, sc, s.cfg.KeepaliveInterval)
	in := s.intakes.of(sc.User(), func() { c.giveWay(errAhead) })
	defer in.close() // all sessions share its lock: first the channel must no longer count
	if !c.openSession(s.cfg.MaxSessions) {
		_ = nc.Reject(gossh.ResourceShortage, "too many sessions")
		return
	}
	defer c.closeSession()
	ch := &channel{
		NewChannel: nc, conn: c, sc: sc, in: in,
		resized: make(chan struct{}, 1), interrupts: make(chan struct{}, 1),
	}
	ch.ctx, ch.cancel = context.WithCancelCause(context.Background())
	defer ch.cancel(commandline.ErrHangup)
	ch.serveRequests()
}

// serveRequests opens the channel and answers requests until the client closes
// it. It never waits for the session.
func (c *channel) serveRequests() {
	ch, requests, err := c.NewChannel.Accept()
	if err != nil {
		return
	}
	c.ch = ch
	c.conn.start(func() { c.in.pump(ch) })
	c.conn.start(c.refuseExtended)
	unstarted := time.AfterFunc(c.conn.srv.cfg.NoChannelTimeout, func() {
		_ = ch.Close() // the connection may be gone
	})
	defer unstarted.Stop()
	running := false
	for req := range requests {
		_ = req.Reply(c.take(req), nil)
		if !running && c.started {
			running = true
			unstarted.Stop()
			c.conn.start(func() { c.conn.srv.handle(c) })
		}
	}
}

// refuseExtended ends a connection on which the client sends extended data: only
// servers use it, and unread data would be kept.
func (c *channel) refuseExtended() {
	if n, _ := c.ch.Stderr().Read(make([]byte, 1)); n > 0 {
		c.conn.end(errExtended)
	}
}

func (c *channel) take(req *gossh.Request) bool {
	if c.forces(req) {
		return c.takeForced(req)
	}
	return c.takeAsked(req)
}

// takeAsked takes a request where the key forces no command.
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

// takeEnv looks only for NO_COLOR.
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
		c.cancel(commandline.ErrHangup)
	}
}

// handle serves one ssh session, once the client has asked for a shell or a
// command.
func (s *Server) handle(ch *channel) {
	defer ch.conn.survive("session")
	who, ok := identityOf(ch.sc.Permissions)
	if !ok || who.name != ch.sc.User() {
		ch.conn.end(errRefused)
		return
	}
	who.asked = ch.asked
	sess := s.newSession(ch.conn, "ssh", ch.conn.RemoteAddr().String(), who, ch.ctx, ch.interrupts)
	defer sess.close()
	defer ch.in.close()
	ch.exit(ch.serve(sess))
}
