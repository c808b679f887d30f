package primary

import (
	"context"
	"io"
	"sync"

	"github.com/norestart/norestart/control"
)

// eventLog is a stream of which the last part is kept in memory: log lines,
// events. Readers wait for new elements; one that is too slow misses the oldest
// and is told how many. Nothing else is locked or called while mu, a leaf, is
// held.
type eventLog[T any] struct {
	epoch uint64
	room  int // elements kept
	bytes int // and bytes, by size
	size  func(T) int

	mu    sync.Mutex
	kept  []T
	used  int    // bytes of kept
	first uint64 // seq of kept[0]
	next  uint64 // seq of the next element
	news  chan struct{}
	over  bool // no more elements come
}

func newEventLog[T any](epoch uint64, room, bytes int, size func(T) int) *eventLog[T] {
	return &eventLog[T]{epoch: epoch, room: room, bytes: bytes, size: size, first: 1, next: 1}
}

// restore continues the stream of an earlier image of the primary.
func (j *eventLog[T]) restore(epoch, next uint64, kept []T) {
	j.epoch, j.kept = epoch, kept
	j.next = max(next, 1)
	j.first = j.next - uint64(len(kept))
	for _, v := range kept {
		j.used += j.size(v)
	}
}

// add keeps the element that mk makes for its place.
func (j *eventLog[T]) add(mk func(control.Cursor) T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	v := mk(control.Cursor{Epoch: j.epoch, Seq: j.next})
	j.next++
	j.kept = append(j.kept, v)
	j.used += j.size(v)
	drop := 0
	for len(j.kept)-drop > j.room || (j.used > j.bytes && len(j.kept)-drop > 1) {
		j.used -= j.size(j.kept[drop])
		drop++
	}
	if drop > 0 {
		clear(j.kept[:drop]) // the texts go now, not when the array is copied
		j.kept, j.first = j.kept[drop:], j.first+uint64(drop)
	}
	j.wake()
}

func (j *eventLog[T]) wake() {
	if j.news != nil {
		close(j.news)
		j.news = nil
	}
}

// close tells the readers that no more comes.
func (j *eventLog[T]) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.over = true
	j.wake()
}

func (j *eventLog[T]) ended() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.over
}

// read returns the kept elements from place from on, how many of the requested
// are gone, and the place to go on from.
func (j *eventLog[T]) read(from uint64) (elements []T, skipped int, next uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if from < j.first {
		skipped, from = int(j.first-from), j.first
	}
	if from < j.next {
		elements = append(elements, j.kept[from-j.first:]...)
	}
	return elements, skipped, j.next
}

// wait returns when there is an element from place next on, io.EOF when no more
// come, or when ctx ends: elements that came before are not missed.
func (j *eventLog[T]) wait(ctx context.Context, next uint64) error {
	for {
		gone := ctx.Err()
		news, err := j.expect(next)
		if news == nil {
			return err
		}
		if gone != nil {
			return gone
		}
		select {
		case <-news:
		case <-ctx.Done():
		}
	}
}

// expect is closed at the next element; nil: there is one, or none will come.
func (j *eventLog[T]) expect(next uint64) (<-chan struct{}, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.next > next:
		return nil, nil
	case j.over:
		return nil, io.EOF
	case j.news == nil:
		j.news = make(chan struct{})
	}
	return j.news, nil
}

// query selects elements for a reader.
type query[T any] struct {
	lines  int // at most so many of the kept ones; 0: 100, -1: none
	follow bool
	after  control.Cursor
	match  func(T) bool
	tell   func(v T, skipped int) error
}

const defaultLines = 100

// stream gives the kept elements, and then new ones while the reader follows.
func (j *eventLog[T]) stream(ctx context.Context, q query[T]) error {
	from := uint64(1)
	resumed := q.after.Epoch == j.epoch && q.after.Seq > 0
	if resumed {
		from = q.after.Seq + 1
	}
	elements, skipped, next := j.read(from)
	if !resumed {
		elements, skipped = last(filter(elements, q.match), q.lines), 0
	}
	for {
		for _, v := range elements {
			if !q.match(v) {
				continue
			}
			if err := q.tell(v, skipped); err != nil {
				return err
			}
			skipped = 0
		}
		if !q.follow {
			return nil
		}
		if err := j.wait(ctx, next); err != nil {
			return err
		}
		var missed int
		elements, missed, next = j.read(next)
		skipped += missed
	}
}

func filter[T any](all []T, match func(T) bool) []T {
	kept := all[:0]
	for _, v := range all {
		if match(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

func last[T any](all []T, n int) []T {
	switch {
	case n < 0:
		return nil
	case n == 0:
		n = defaultLines
	}
	return all[max(0, len(all)-n):]
}
