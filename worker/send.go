package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/worker/internal/mail"
)

// Send sends a message, and returns nil when the receiver has handled it. to is a
// worker, "jobs/0", a pool, "jobs", for any of its workers that is ready, or all of
// them, "jobs/*".
//
// Messages of one process to one worker are handled in the order of the calls.
// While its slot has no worker that is ready, or is being replaced, they wait; so
// does Send, for room, when many wait already. It fails when the receiver refuses
// the message ([Message.Fail]), when there is no such worker
// ([control.ErrNoWorker], [control.ErrNoPool]), when ctx ends or when this worker
// does. Then the message may be handled all the same, and the error says so.
func (w *Worker) Send(ctx context.Context, to string, data []byte) error {
	pool, slot, one := strings.Cut(to, "/")
	switch {
	case !one:
		return w.sendToAny(ctx, pool, data)
	case slot == "*":
		return w.sendToEach(ctx, pool, data)
	}
	if n, err := strconv.Atoi(slot); err != nil || n < 0 || pool == "" {
		return &control.Error{Code: control.ErrUsage.Code, Message: fmt.Sprintf("send to %q: want POOL/SLOT, POOL or POOL/*", to)}
	}
	return w.mail.outbox.Send(ctx, to, data)
}

// lasting reports whether an error will not go away by itself.
func lasting(err error) bool {
	for _, e := range []error{control.ErrNoWorker, control.ErrNoPool, control.ErrNoHandler, control.ErrUsage, control.ErrDenied} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// askForMail asks the primary for a stream, or for slots. The answer is the
// primary's, or that of the worker that has the stream.
func (w *Worker) askForMail(ctx context.Context, m ipc.Mail) (*ipc.Conn, ipc.Message, error) {
	h := w.hello()
	h.Purpose = ipc.PurposeMail
	conn, _, err := ipc.Open(ctx, w.dial, h)
	if err != nil {
		return nil, ipc.Message{}, err
	}
	err = conn.Send(ipc.SendTimeout, ipc.TypeMail, m)
	var answer ipc.Message
	if err == nil {
		answer, err = conn.Receive(ipc.HelloTimeout)
	}
	if err == nil && answer.Type == ipc.TypeRefused {
		e := &control.Error{}
		err = errors.Join(answer.Decode(e), e)
	}
	if err != nil {
		return nil, answer, errors.Join(err, conn.Close())
	}
	return conn, answer, nil
}

func (w *Worker) dialMail(ctx context.Context, slot string, peer uint64) (net.Conn, []uint64, error) {
	conn, answer, err := w.askForMail(ctx, ipc.Mail{To: slot, Peer: peer})
	if err != nil {
		return nil, nil, err
	}
	var box ipc.Mailbox
	err = answer.Decode(&box)
	if err == nil && len(box.Lines) == 0 {
		err = fmt.Errorf("worker %s answers %q to a sender", slot, answer.Type)
	}
	var stream *net.UnixConn
	if err == nil {
		stream, err = conn.Stream()
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return stream, box.Lines, nil
}

// mailPool are the slots of a pool, as they were known a moment ago.
type mailPool struct {
	ipc.Slots
	until time.Time
	turn  int
}

// knownFor is how long slots are taken to be as they were.
const knownFor = time.Second

// slotsOf asks for the slots of a pool when they are not known. turn goes round among
// those that are ready.
func (w *Worker) slotsOf(ctx context.Context, pool string) (known mailPool, err error) {
	w.mail.mu.Lock()
	p := w.mail.pools[pool]
	if p != nil && time.Now().Before(p.until) {
		p.turn++
		known = *p
	}
	w.mail.mu.Unlock()
	if known.turn > 0 {
		return known, nil
	}
	conn, answer, err := w.askForMail(ctx, ipc.Mail{To: pool})
	if err != nil {
		return known, err
	}
	defer conn.Close()
	known = mailPool{until: time.Now().Add(knownFor), turn: 1 + rand.IntN(1<<16)}
	if err := answer.Decode(&known.Slots); err != nil {
		return known, err
	}
	if len(known.Ready) == 0 {
		return known, nil // it is asked again
	}
	w.mail.mu.Lock()
	defer w.mail.mu.Unlock()
	if w.mail.pools == nil {
		w.mail.pools = make(map[string]*mailPool)
	}
	kept := known // its turn changes while the caller reads ours
	w.mail.pools[pool] = &kept
	return known, nil
}

func (w *Worker) forgetSlots(pool string) {
	w.mail.mu.Lock()
	defer w.mail.mu.Unlock()
	delete(w.mail.pools, pool)
}

// sendToAny waits until a worker of the pool is ready.
func (w *Worker) sendToAny(ctx context.Context, pool string, data []byte) error {
	for {
		known, err := w.slotsOf(ctx, pool)
		switch {
		case lasting(err):
			return err
		case err == nil && len(known.Ready) > 0:
			slot := known.Ready[known.turn%len(known.Ready)]
			err = w.mail.outbox.Send(ctx, fmt.Sprintf("%s/%d", pool, slot), data)
			if !errors.Is(err, mail.ErrNotSent) || !errors.Is(err, control.ErrNoWorker) {
				return err // to another one it would be a second message
			}
			w.forgetSlots(pool) // it has just been scaled down
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("message to %s: not sent, no worker is ready: %w", pool, context.Cause(ctx))
		case <-w.working.Done():
			return fmt.Errorf("message to %s: not sent: %w", pool, context.Cause(w.working))
		case <-time.After(lastPause):
		}
	}
}

// sendToEach returns the failures of all.
func (w *Worker) sendToEach(ctx context.Context, pool string, data []byte) error {
	known, err := w.slotsOf(ctx, pool)
	if err != nil {
		return err
	}
	failed := make([]error, known.Slots.Slots)
	var wg sync.WaitGroup
	for i := range failed {
		wg.Go(func() {
			failed[i] = w.mail.outbox.Send(ctx, fmt.Sprintf("%s/%d", pool, i), data)
		})
	}
	wg.Wait()
	return errors.Join(failed...)
}
