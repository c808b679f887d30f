package mail

import (
	"context"
	"slices"
)

// What a sender keeps for one slot is bounded by size. Each message counts as so
// many bytes at least that their number is bounded, too.
const (
	MaxMessages = 256
	windowBytes = 1 << 20
	leastCost   = windowBytes / MaxMessages
)

func cost(data []byte) int { return max(len(data), leastCost) }

// window is what is free of that. It is guarded by the lock of its owner. Those
// that wait are let in by turn.
type window struct {
	free    int
	waiting []*turn
}

type turn struct {
	cost int
	let  chan struct{}
}

// take takes its part at once (nil), or by the turn that it returns.
func (w *window) take(n int) *turn {
	if len(w.waiting) == 0 && w.free >= n {
		w.free -= n
		return nil
	}
	t := &turn{n, make(chan struct{})}
	w.waiting = append(w.waiting, t)
	return t
}

func (w *window) give(n int) {
	w.free += n
	for len(w.waiting) > 0 && w.waiting[0].cost <= w.free {
		t := w.waiting[0]
		w.free -= t.cost
		w.waiting = w.waiting[1:]
		close(t.let)
	}
}

// leave is for one that waits no more, or has just been let in.
func (w *window) leave(t *turn) {
	i := slices.Index(w.waiting, t)
	if i < 0 {
		w.give(t.cost)
		return
	}
	w.waiting = slices.Delete(w.waiting, i, i+1)
	w.give(0)
}

func (t *turn) wait(ctx context.Context) error {
	if t == nil {
		return nil
	}
	select {
	case <-t.let:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
