package proc

import (
	"runtime"
	"sync"
)

// SpareThreads lets this process have n threads, of which those that it does not
// need now wait. Where its user may have no more processes (RLIMIT_NPROC,
// pids.max of a cgroup), a Go program that wants another thread ends at once; one
// that it has it keeps.
func SpareThreads(n int) {
	var there, gone sync.WaitGroup
	there.Add(n)
	enough := make(chan struct{})
	for range n {
		gone.Go(func() {
			runtime.LockOSThread() // nobody else's meanwhile: the next one takes another
			defer runtime.UnlockOSThread()
			there.Done()
			<-enough
		})
	}
	there.Wait()
	close(enough)
	gone.Wait()
}
