package primary

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// rest gives the memory of a burst of work back to the machine. The runtime
// keeps what a job or a request has touched, and gives it back slowly or never;
// a primary does little for most of its life.
type rest struct {
	timer *time.Timer
	spent uint64 // bytes allocated up to the last time
}

const (
	// restAfter is how long nothing has been asked or told.
	restAfter = 300 * time.Millisecond
	// restWorth is what must have been allocated meanwhile: to look for what
	// can be given back is work, too, and a question now and then is cheap.
	restWorth = 256 << 10
)

// stir puts off the rest.
func (l *loop) stir() {
	if l.rest.timer != nil {
		l.rest.timer.Reset(restAfter)
		return
	}
	post := l.post
	l.rest.timer = time.AfterFunc(restAfter, func() { post((*loop).giveBack) })
}

// end stops the timer.
func (r *rest) end() {
	if r.timer != nil {
		r.timer.Stop()
	}
}

// giveBack returns what is free, also while a job waits for its canary: what
// lives on after the next burst then lies close together. It takes some
// milliseconds of a loop that has nothing else to do.
func (l *loop) giveBack() {
	if allocated()-l.rest.spent < restWorth {
		return
	}
	debug.FreeOSMemory()
	l.rest.spent = allocated()
}

// allocated is how many bytes this process has ever allocated on its heap.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
