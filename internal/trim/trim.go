package trim

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// worth is how many bytes must have been allocated since the last time: to
	// look for what can be given back is work, too.
	worth = 256 << 10
	// passes is how often memory is given back: with each a goroutine's stack
	// shrinks by a half.
	passes = 2
)

// Trimmer gives memory back when work is over. Its zero value is ready, its
// methods may be called from any goroutine.
type Trimmer struct {
	mu    sync.Mutex // a leaf
	timer *time.Timer
	spent uint64 // bytes allocated up to the last time
}

// After gives memory back when it has not been called again for quiet.
func (t *Trimmer) After(quiet time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer == nil {
		t.timer = time.AfterFunc(quiet, t.trim)
		return
	}
	t.timer.Reset(quiet)
}

// Stop calls off what After asked for.
func (t *Trimmer) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
	}
}

func (t *Trimmer) trim() {
	t.mu.Lock()
	before := t.spent
	t.mu.Unlock()
	if allocated()-before < worth {
		return
	}
	for range passes {
		debug.FreeOSMemory()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spent = allocated()
}

// allocated is how many bytes this process has ever allocated on its heap.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
