package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/harness"
)

// measureMoved holds connections through reloads: each client has one, sends a
// request before and after every reload, and never tries again.
func measureMoved(ctx context.Context, b *bench) (table, error) {
	var t table
	n, reloads := b.less(10_000, 200), b.less(20, 3)
	if err := enoughDescriptors(2 * n); err != nil {
		return t, err
	}
	c, err := b.hello(ctx)
	if err != nil {
		return t, err
	}
	h := holders{all: make([]harness.Client, n)}
	for i := range h.all {
		h.all[i] = httpClient(c.web, true)
	}
	var took []float64
	h.ask(ctx)
	for range reloads {
		seconds, reloadErr := c.reload(ctx)
		if err = reloadErr; err != nil {
			break
		}
		took = append(took, seconds)
		h.ask(ctx)
	}
	closed := h.closed()
	h.end()
	if err = errors.Join(err, ctx.Err(), c.Stop()); err != nil {
		return t, err
	}
	v := judge(closed == 0 && h.failed.Load() == 0)
	if v == reached && b.short {
		v = tooFew
	}
	t.add("keep-alive connections closed by reloads", "0 of 10,000", fmt.Sprintf("%d of %d in %d reloads", closed, n, reloads), v)
	t.info("failed requests on them", fmt.Sprintf("%d of %d", h.failed.Load(), h.asked.Load()))
	t.info("duration of a reload with canary 0.5 s", "median "+seconds(median(took)))
	if first := h.first.Load(); first != nil {
		t.note("the first failure: %v", *first)
	}
	return t, nil
}

// enoughDescriptors is for the clients, and for a worker that gets them all.
func enoughDescriptors(n int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < uint64(n) {
		return fmt.Errorf("%d descriptors are too few: raise the hard limit to %d (ulimit -Hn)", limit.Max, n)
	}
	limit.Cur = limit.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

type holders struct {
	all           []harness.Client
	asked, failed atomic.Int64
	first         atomic.Pointer[error]
}

func (h *holders) ask(ctx context.Context) {
	var wg sync.WaitGroup
	for part := range clients {
		wg.Go(func() {
			for i := part; i < len(h.all) && ctx.Err() == nil; i += clients {
				h.asked.Add(1)
				if s := h.all[i].Get("/", ""); s.Err != nil {
					h.failed.Add(1)
					h.first.CompareAndSwap(nil, &s.Err)
				}
			}
		})
	}
	wg.Wait()
}

// closed counts the connections that had to be made anew, or are gone.
func (h *holders) closed() (n int) {
	for _, c := range h.all {
		n += max(0, c.Dials-1)
		if !c.Open() {
			n++
		}
	}
	return n
}

func (h *holders) end() {
	for i := range h.all {
		h.all[i].Close()
	}
}
