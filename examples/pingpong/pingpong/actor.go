package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/examples/pingpong"
	"github.com/norestart/norestart/worker"
)

// actor is one worker process.
type actor struct {
	w          *worker.Worker
	dir        string
	rounds     int
	next, prev string // slots

	mu      sync.Mutex
	changed *sync.Cond // of what follows
	rallies
	journal *os.File
	limit   int             // of rallies that may have begun
	again   map[string]bool // kind and lane whose next message may have been sent already
	still   bool            // nothing more is sent
	ended   bool            // the journal says so

	sending sync.WaitGroup
	failed  chan error // size 1
}

// actor is what each worker does.
func (o options) actor(ctx context.Context, w *worker.Worker) error {
	a := &actor{
		w: w, dir: o.dir, rounds: o.rounds(), again: make(map[string]bool), failed: make(chan error, 1),
		next: fmt.Sprintf("%s/%d", pool, (w.Slot()+1)%slots), prev: fmt.Sprintf("%s/%d", pool, (w.Slot()+slots-1)%slots),
	}
	a.changed = sync.NewCond(&a.mu)
	began := pingpong.Began
	err := w.Register("rallies", a.module(&began))
	if err != nil {
		return err
	}
	mailbox := w.Mailbox()
	if err := w.Load(); err != nil {
		return err
	}
	if a.journal, err = pingpong.Create(a.dir, w.ID(), w.Incarnation()); err != nil {
		return err
	}
	defer a.journal.Close()
	a.mu.Lock()
	a.write(pingpong.Entry{What: began})
	a.mu.Unlock()
	w.Ready()
	return a.play(ctx, mailbox)
}

// module carries the rallies. It sends nothing before the worker is ready: until
// then the process before may have to go on.
func (a *actor) module(began *string) worker.Module {
	return worker.Module{
		Version: "v1.0.0", Timeout: time.Minute,
		Init: func(context.Context, *worker.Scope) error {
			all, err := pingpong.Read(a.dir)
			if err != nil {
				return err
			}
			var crashed bool
			a.rallies, crashed, err = recalled(all, a.w.ID())
			for lane := range lanes {
				a.again[key(ping, lane)], a.again[key(pong, lane)] = crashed, crashed
			}
			return err
		},
		AfterReload: func(_ context.Context, _ *worker.Scope, from worker.State) error {
			*began = pingpong.Inherited
			return from.JSON(&a.rallies)
		},
		BeforeReload: func(context.Context) (worker.State, error) {
			a.stop(true)
			a.sending.Wait() // for messages on their way: their numbers are taken
			a.mu.Lock()
			defer a.mu.Unlock()
			return worker.JSON(a.rallies)
		},
		Resume: func(context.Context) error {
			a.stop(false)
			a.send()
			return nil
		},
	}
}

func key(kind string, lane int) string { return fmt.Sprintf("%s %d", kind, lane) }

func (a *actor) stop(still bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.still = still
	a.changed.Broadcast()
}

// play sends and receives until the worker drains.
func (a *actor) play(ctx context.Context, mailbox *worker.Mailbox) error {
	a.send()
	var receiving sync.WaitGroup
	for range 2 { // there are two senders
		receiving.Go(func() { a.receive(ctx, mailbox) })
	}
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case err := <-a.failed:
			return err
		case <-pace.C:
			a.look()
		}
	}
	a.stop(true)
	a.sending.Wait()
	receiving.Wait()
	return nil
}

// look reads how many rallies may have begun: it is the size of a file.
func (a *actor) look() {
	info, err := os.Stat(filepath.Join(a.dir, paceFile))
	if err != nil {
		a.fail(err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit = int(info.Size())
	a.changed.Broadcast()
	if !a.ended && a.over(a.rounds) {
		a.ended = true
		a.write(pingpong.Entry{What: pingpong.Ended})
	}
}

// send starts what sends: for each lane one goroutine for pings, one for pongs.
func (a *actor) send() {
	for lane := range lanes {
		a.sending.Go(func() { a.sendAll(ping, lane, a.next) })
		a.sending.Go(func() { a.sendAll(pong, lane, a.prev) })
	}
}

func (a *actor) sendAll(kind string, lane int, to string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !a.still {
		m, ok := a.rallies.next(kind, lane, a.limit)
		if !ok {
			a.changed.Wait()
			continue
		}
		m.Again = a.again[key(kind, lane)]
		delete(a.again, key(kind, lane))
		a.mu.Unlock()
		err := a.w.Send(a.w.Context(), to, []byte(m.String()))
		a.mu.Lock()
		if err != nil {
			a.fail(fmt.Errorf("send %v to %s: %w", m, to, err))
			return
		}
		a.write(pingpong.Entry{What: pingpong.Sent, Peer: to, Message: m})
		a.sent(m)
		a.changed.Broadcast()
	}
}

func (a *actor) receive(ctx context.Context, mailbox *worker.Mailbox) {
	for {
		m, err := mailbox.Receive(ctx)
		if err == nil {
			err = a.handle(m)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.fail(fmt.Errorf("receive: %w", err))
			return
		}
		m.Done()
	}
}

// handle writes a message down before it is acknowledged.
func (a *actor) handle(m *worker.Message) error {
	said, err := pingpong.Parse(string(m.Data))
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.received(said); err != nil {
		return err
	}
	a.write(pingpong.Entry{
		What: pingpong.Received, Peer: m.From, Message: said, Incarnation: m.Incarnation, Seq: m.Seq, Redelivered: m.Redelivered,
	})
	if !a.Asked && a.w.Slot() == 0 && said.Kind == ping && said.Number == asks {
		a.Asked = true
		go a.reload()
	}
	a.changed.Broadcast()
	return nil
}

// asks is the number of the message that asks for the reload.
const asks = 4

var errNext = errors.New("this worker is the next")

// reload asks for the reload of the pool. This worker goes last, when it no longer
// waits for the job.
func (a *actor) reload() {
	if _, err := os.Stat(filepath.Join(a.dir, unaskedFile)); err == nil {
		return
	}
	_, err := a.w.Control("").Do(a.w.Context(), control.ReloadRequest{Pools: []string{pool}}, func(e control.JobEvent) error {
		if e.Event == control.StepNext {
			return errNext
		}
		return nil
	})
	if err != nil && !errors.Is(err, errNext) {
		a.fail(fmt.Errorf("ask for a reload: %w", err))
	}
}

// write adds to the journal; the lock is held.
func (a *actor) write(e pingpong.Entry) {
	e.Counter = a.Counter
	if _, err := fmt.Fprintln(a.journal, e); err != nil {
		a.fail(err)
	}
}

// fail ends the worker, which play tells.
func (a *actor) fail(err error) {
	select {
	case a.failed <- err:
	default:
	}
}
