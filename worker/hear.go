package worker

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/notify"
)

// ear is what a worker of the agent hears of other programs in place of the
// primary. While there is one, that takes all messages. Without one the kernel
// keeps a few in the queue of the socket, and then lets their senders wait.
type ear struct {
	mu     sync.Mutex // a leaf; protects what follows
	opened bool
	socket int
	heard  []heard
}

// heard is a message with the descriptors that came with it.
type heard struct {
	ipc.Heard
	files []int
}

// maxHeard bounds the messages that are kept for the next primary.
const maxHeard = 4096

// maxFiles bounds the descriptors that came with them.
const maxFiles = 512

// open takes a socket in place of an earlier one.
func (e *ear) open(fd int) {
	e.take()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.opened {
		_ = unix.Close(e.socket)
	}
	e.opened, e.socket = true, fd
}

// take takes what waits in the socket. Signs of life are of no use to the next
// primary, and of what one process says of its state only the last counts.
func (e *ear) take() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.opened {
		m, ok := notify.Take(e.socket)
		if !ok {
			return
		}
		e.keep(m)
	}
}

func (e *ear) keep(m notify.Message) {
	if !m.Lasts() {
		return
	}
	h := heard{ipc.Heard{From: m.From, Text: []byte(m.Text)}, m.Files}
	for i, old := range e.heard {
		if was := notify.Parse(old.Text); old.From[0] == m.From[0] && was.OnlyStatus() && m.Status != nil {
			e.heard = append(e.heard[:i], e.heard[i+1:]...)
			break
		}
	}
	if len(e.heard) >= maxHeard || len(m.Files) > 0 && e.files()+len(m.Files) > maxFiles {
		m.Discard()
		return
	}
	e.heard = append(e.heard, h)
}

func (e *ear) files() (n int) {
	for _, h := range e.heard {
		n += len(h.files)
	}
	return n
}

// tell gives the next primary what was heard.
func (e *ear) tell(c *ipc.Conn) error {
	e.take()
	return e.pass(c)
}

// pass is for what was heard up to now: later messages are the primary's to take.
func (e *ear) pass(c *ipc.Conn) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.heard) > 0 {
		h := e.heard[0]
		if err := c.Send(ipc.SendTimeout, ipc.TypeHeard, h.Heard, h.files...); err != nil {
			return err
		}
		notify.Message{Files: h.files}.Discard()
		e.heard = e.heard[1:]
	}
	return nil
}

func (e *ear) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.opened {
		_ = unix.Close(e.socket)
	}
	e.opened = false
}
