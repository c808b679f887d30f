package mail

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Outbox sends the messages of one process.
type Outbox struct {
	// Dial gets a new stream to a slot, and the lines of its receiver: its own, and
	// those whose marks it has inherited. The number tells the peers of this process
	// apart.
	Dial func(ctx context.Context, slot string, number uint64) (conn net.Conn, lines []uint64, err error)
	// Lasting reports whether an error of Dial will not go away by itself.
	Lasting func(error) bool
	// Living is the time in which it sends; then Send fails.
	Living context.Context
	// Go starts a goroutine that its owner waits for.
	Go func(func())

	mu     sync.Mutex
	peers  map[string]*peer // by slot
	number uint64           // of the last one
}

// errReplaced is for a message that came to a peer which has just been given up.
var errReplaced = errors.New("mail: the peer was given up")

// ErrNotSent is in the error of a message that no receiver can have handled.
var ErrNotSent = errors.New("not sent")

// Send returns nil when the message was handled.
func (o *Outbox) Send(ctx context.Context, slot string, data []byte) error {
	if len(data) > MaxData {
		return fmt.Errorf("a message of %d bytes: more than %d do not fit into one: send it in parts", len(data), MaxData)
	}
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("message to %s: %w: %w", slot, ErrNotSent, context.Cause(ctx))
		}
		if err := o.Living.Err(); err != nil {
			return fmt.Errorf("message to %s: %w: %w", slot, ErrNotSent, context.Cause(o.Living))
		}
		if err := o.peer(slot).send(ctx, data); err != errReplaced {
			return err
		}
	}
}

func (o *Outbox) peer(slot string) *peer {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.peers[slot]
	if p != nil {
		return p
	}
	if o.peers == nil {
		o.peers = make(map[string]*peer)
	}
	o.number++
	p = &peer{o: o, slot: slot, number: o.number, window: window{free: windowBytes}, wake: make(chan struct{}, 1)}
	o.peers[slot] = p
	o.Go(p.run)
	return p
}

func (o *Outbox) forget(p *peer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.peers[p.slot] == p {
		delete(o.peers, p.slot)
	}
}

// InFlight is how many messages have been sent and not handled.
func (o *Outbox) InFlight() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.peers {
		n += p.len()
	}
	return n
}
