package primary

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/notify"
)

// notifySocket is the file in the run directory to which foreign processes send.
const notifySocket = "notify.sock"

// hearing receives what they say. A message is taken from the socket and in heard,
// or it waits in the socket for the next image; the loop, which stands still during
// an exec, holds mu then.
type hearing struct {
	socket *notify.Socket
	mu     sync.Mutex // protects heard, and the taking; a leaf
	heard  []notify.Message
}

// openHearing opens the socket, or takes over that of the image before; nil: no
// process sends.
func (p *Primary) openHearing(im *image) (*hearing, error) {
	path := filepath.Join(p.cfg.Run, notifySocket)
	var s *notify.Socket
	var err error
	inherited := im != nil && im.Notify > 0
	_, gone := os.Lstat(path)
	if inherited && gone != nil {
		_ = unix.Close(im.Notify)
	}
	switch {
	case inherited && gone == nil:
		s, err = notify.Adopt(im.Notify, path)
	case p.cfg.Reread != nil, slices.ContainsFunc(p.cfg.Spec.Pools, func(s control.PoolSpec) bool { return s.Protocol == control.ProtocolNotify }):
		s, err = notify.Listen(path)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &hearing{socket: s}, nil
}

func (h *hearing) close() error {
	if h == nil {
		return nil
	}
	err := h.socket.Close()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// run receives until the socket is closed.
func (h *hearing) run(post func(event) bool) {
	for h.socket.Wait() == nil {
		h.mu.Lock()
		if m, ok := h.socket.Take(); ok {
			h.heard = append(h.heard, m)
		}
		h.mu.Unlock()
		post(func(l *loop) { l.listenTo(h) })
	}
}

// takeAll takes what waits in the socket.
func (h *hearing) takeAll() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		m, ok := h.socket.Take()
		if !ok {
			return
		}
		h.heard = append(h.heard, m)
	}
}

// listenTo handles what has been taken.
func (l *loop) listenTo(h *hearing) {
	if h == nil {
		return
	}
	h.mu.Lock()
	heard := h.heard
	h.heard = nil
	h.mu.Unlock()
	for _, m := range heard {
		l.said(m)
	}
}

// halt leaves all messages to the next image that have not been taken, and handles
// the others.
func (h *hearing) halt(l *loop) (goOn func()) {
	if h == nil {
		return func() {}
	}
	h.mu.Lock()
	for _, m := range h.heard {
		l.said(m)
	}
	h.heard = nil
	return h.mu.Unlock
}

// fd is the descriptor for the next image; 0: there is none.
func (h *hearing) fd() (int, error) {
	if h == nil {
		return 0, nil
	}
	return inherit.RawFD(h.socket)
}

// keepHearing gives a worker of the agent a copy of the socket: it hears what is
// said while there is no primary.
func (r *process) keepHearing(h *hearing) {
	if h == nil {
		return
	}
	if fd, err := h.fd(); err == nil {
		r.keep([]string{ipc.NotifySocket}, []int{fd})
	}
}

// maxEarly bounds the messages that are kept for processes of which the start is
// not known yet.
const maxEarly = 256

// said handles a message of a foreign process or of one of its descendants.
func (l *loop) said(m notify.Message) {
	starting := false
	for s, r := range processes(l.slots()) {
		switch {
		case s.specOf(r).Protocol != control.ProtocolNotify:
		case r.handle == nil:
			starting = true
		case r.sent(m):
			l.takeIn(s, r, m)
			return
		}
	}
	if !starting || len(l.early) >= maxEarly || len(m.Files) > 0 && l.earlyFiles() >= maxEarly {
		m.Discard()
		return
	}
	l.early = append(l.early, m)
}

func (l *loop) earlyFiles() (n int) {
	for _, m := range l.early {
		n += len(m.Files)
	}
	return n
}

// saidEarly handles messages that came before their sender was known.
func (l *loop) saidEarly() {
	early := l.early
	l.early = nil
	for _, m := range early {
		l.said(m)
	}
}

// saidMeanwhile handles what a worker of the agent heard while there was no primary.
func (l *loop) saidMeanwhile(k known, h ipc.Heard, files []int) {
	m := notify.Parse(h.Text)
	m.From, m.Files, m.Late = h.From, files, true
	if len(k.slot.pool.keeps) == 0 || !m.Store {
		m.Discard()
		m.Files = nil
	}
	if len(k.slot.pool.keeps) > 0 {
		l.said(m)
	}
}
