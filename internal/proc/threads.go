package proc

import (
	"runtime"
	"sync"
)

// SpareThreads lets this process have n threads, most of them idle. At the limit
// of its user (RLIMIT_NPROC, pids.max of a cgroup) a Go program ends as soon as
// it needs one more thread; spare ones prevent that.
func SpareThreads(n int) {
	var there, gone sync.WaitGroup
	there.Add(n)
	enough := make(chan struct{})
	for range n {
		gone.Go(func() {
			runtime.LockOSThread() // not shared meanwhile: the next goroutine takes another thread
			defer runtime.UnlockOSThread()
			there.Done()
			<-enough
		})
	}
	there.Wait()
	close(enough)
	gone.Wait()
}
