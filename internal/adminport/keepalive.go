package adminport

import (
	"errors"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// keepaliveMisses is how many unanswered keepalives close a connection.
const keepaliveMisses = 3

// keepalive finds out that a peer has gone although TCP has not noticed. It needs
// no goroutine while the peer answers.
type keepalive struct {
	mu      sync.Mutex // protects what follows
	timer   *time.Timer
	waiting bool // a request is outstanding; only one, as SendRequest holds a lock of the connection
	missed  int
	ended   bool
}

func (k *keepalive) start(c *conn, sc *gossh.ServerConn, every time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.timer != nil || k.ended {
		return
	}
	k.timer = time.AfterFunc(every, func() { k.tick(c, sc, every) })
}

func (k *keepalive) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	if k.timer != nil {
		k.timer.Stop()
	}
}

func (k *keepalive) tick(c *conn, sc *gossh.ServerConn, every time.Duration) {
	if !c.enter() {
		return
	}
	defer c.leave()
	ask, dead := k.next(every)
	switch {
	case dead:
		c.end(errors.New("keepalives unanswered"))
	case ask:
		k.ask(sc)
	}
}

// next decides what this tick does and sets the timer for the next one.
func (k *keepalive) next(every time.Duration) (ask, dead bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return false, false
	}
	if k.waiting {
		k.missed++
	}
	if k.missed >= keepaliveMisses {
		return false, true
	}
	k.timer.Reset(every)
	ask = !k.waiting
	k.waiting = true
	return ask, false
}

// ask blocks until the peer answers or the connection ends.
func (k *keepalive) ask(sc *gossh.ServerConn) {
	_, _, err := sc.SendRequest("keepalive@openssh.com", true, nil)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.waiting, k.missed = false, 0
	}
}
