package mail

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// peer is a slot to which this process sends: what it has not handled yet, in
// order, and the stream to the process that is there now.
type peer struct {
	o      *Outbox
	slot   string
	number uint64        // of this peer among those of the process
	wake   chan struct{} // size 1: there is something to write

	mu      sync.Mutex // a leaf
	window  window
	queue   []*letter
	next    int // in queue: the first that was not written on the present stream
	seq     uint64
	given   error // why it was given up; nil: it was not
	closing bool  // the receiver takes no more on this stream
}

// letter is a message with its way back.
type letter struct {
	seq    uint64
	data   []byte
	sent   bool   // at least once
	line   uint64 // the line of the receiver that it was last sent to; 0: none can have handled it
	again  bool   // a receiver may have handled it whose marks the next one did not have
	result chan error
}

func (p *peer) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

func (p *peer) send(ctx context.Context, data []byte) error {
	l, err := p.put(ctx, data)
	if err != nil {
		return err
	}
	select {
	case err := <-l.result:
		return err
	case <-ctx.Done():
		return p.withdraw(l, context.Cause(ctx))
	}
}

// put queues a message when there is room.
func (p *peer) put(ctx context.Context, data []byte) (*letter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.window.take(cost(data)); t != nil {
		p.mu.Unlock()
		err := t.wait(ctx)
		p.mu.Lock()
		if err != nil {
			p.window.leave(t)
			return nil, fmt.Errorf("message to %s: %w: no room among those that wait: %w", p.slot, ErrNotSent, err)
		}
	}
	if p.given != nil {
		p.window.give(cost(data))
		return nil, errReplaced
	}
	p.seq++
	l := &letter{seq: p.seq, data: data, result: make(chan error, 1)}
	p.queue = append(p.queue, l)
	p.stir()
	return l, nil
}

func (p *peer) stir() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// withdraw is for a caller that waits no more.
func (p *peer) withdraw(l *letter, why error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.queue, l)
	if i < 0 {
		return <-l.result // it has just ended
	}
	p.remove(i)
	if l.sent {
		return fmt.Errorf("message to %s: it may be handled: %w", p.slot, why)
	}
	return fmt.Errorf("message to %s: %w: %w", p.slot, ErrNotSent, why)
}

func (p *peer) remove(i int) {
	l := p.queue[i]
	p.queue = slices.Delete(p.queue, i, i+1)
	if i < p.next {
		p.next--
	}
	p.window.give(cost(l.data))
}

// The pauses between two attempts to reach a slot that is not ready, with jitter.
const (
	firstPause = time.Millisecond
	lastPause  = time.Second
)

// run keeps a stream while there is something to send.
func (p *peer) run() {
	pause := firstPause
	for {
		if err := p.awaitWork(); err != nil {
			p.giveUp(err)
			return
		}
		greeted, err := p.connect()
		if err != nil && p.o.Lasting(err) {
			p.giveUp(err)
			return
		}
		if greeted {
			pause = firstPause
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-p.o.Living.Done():
		}
		pause = min(2*pause, lastPause)
	}
}

// awaitWork waits for a message.
func (p *peer) awaitWork() error {
	for p.len() == 0 && p.o.Living.Err() == nil {
		select {
		case <-p.wake:
		case <-p.o.Living.Done():
		}
	}
	return context.Cause(p.o.Living)
}

// giveUp fails all messages. A later one begins with a new peer.
func (p *peer) giveUp(why error) {
	p.o.forget(p)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.given = why
	for len(p.queue) > 0 {
		l, err := p.queue[0], fmt.Errorf("message to %s: %w: %w", p.slot, ErrNotSent, why)
		if l.sent {
			err = fmt.Errorf("message to %s: it may be handled: %w", p.slot, why)
		}
		p.remove(0)
		l.result <- err
	}
}
