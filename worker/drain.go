package worker

import (
	"context"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// A drain begins by the primary's message, a TERM, [Worker.Leave], or without a
// primary. However it begins:
//
//	startDrain ──► serving ends: the application's function learns of it
//	    │
//	    ├─ stopListening, with linger after the lame duck ──► closed: told to the primary
//	    │
//	    ├─ every accepted connection is known: handed over, told to go, or finished
//	    │  (internal/handover draws one of them)
//	    ▼
//	drained: told to the primary; Run returns, the process exits
//
//	deadline, or a second TERM ──► working ends: what is left is cut
//	KILL, from the primary     ──► the process has not obeyed

// leaveDrain is how a worker drains that ends by itself, see [Worker.Leave].
func (w *Worker) leaveDrain() ipc.Drain {
	if w.boot.Leave != nil {
		return *w.boot.Leave
	}
	return ipc.Drain{Linger: true, LameDuck: control.DefaultLameDuck, Deadline: control.DefaultDrainTimeout}
}

// orphanDrain is how a worker drains without a primary.
func (w *Worker) orphanDrain() ipc.Drain {
	return ipc.Drain{LameDuck: w.leaveDrain().LameDuck, Deadline: 10 * time.Second, Final: true}
}

func (w *Worker) drainAsOrphan() { w.startDrain(w.orphanDrain()) }

// askedToDrain begins the drain, hastens it, or names another successor.
func (w *Worker) askedToDrain(d ipc.Drain, successor *ipc.Conn) {
	if successor != nil {
		w.connections.HandOver(successor)
	}
	if w.startDrain(d); d.Final && d.Deadline > 0 {
		w.cutAfter(d.Deadline)
	}
}

// startDrain ends taking work; only the first call counts.
func (w *Worker) startDrain(d ipc.Drain) {
	w.draining.Do(func() {
		w.drain = d
		w.modules.giveBack()
		w.connections.BeginDrain(d.LameDuck)
		w.stopServing()
		if d.Deadline > 0 {
			w.cutAfter(d.Deadline)
		}
		w.wg.Go(w.stopListening)
	})
}

func (w *Worker) cutAfter(d time.Duration) {
	timer := time.AfterFunc(d, w.cut)
	context.AfterFunc(w.working, func() { timer.Stop() })
}

// stopListening closes the listeners: at once if a successor accepts on the same
// sockets, else after the lame duck.
func (w *Worker) stopListening() {
	if w.drain.Linger {
		select {
		case <-time.After(w.drain.LameDuck):
		case <-w.working.Done():
		}
	}
	w.connections.CloseListeners()
	w.sockets.close()
	w.isClosed.Store(true)
	close(w.closed)
	_ = w.link.send(ipc.TypeClosed, nil) // without a primary it is not awaited
}

func (w *Worker) drained() ipc.Drained {
	c := &w.connections.Counts
	return ipc.Drained{Moved: int(c.Moved.Load()), Finished: int(c.Finished.Load()), Told: int(c.Told.Load()), Cut: int(c.Cut.Load())}
}
