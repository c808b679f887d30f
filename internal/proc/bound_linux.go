package proc

import (
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// boundThread forks children that can gain no privileges: a child inherits
// no_new_privs from the thread that forks it (prctl(2)), and the thread cannot
// drop it. The thread does nothing else. It is made with the first child and
// stays, because at the limit of processes no thread can be started either.
type boundThread struct {
	begin sync.Once
	forks chan func(error)
	wg    sync.WaitGroup
}

// fork is [fork] from that thread.
func (b *boundThread) fork(c Command) (pid, pidfd int, err error) {
	b.begin.Do(func() {
		b.forks = make(chan func(error))
		b.wg.Go(b.run)
	})
	done := make(chan struct{})
	b.forks <- func(refused error) {
		defer close(done)
		if pid, pidfd, err = 0, -1, refused; err == nil {
			pid, pidfd, err = fork(c)
		}
	}
	<-done
	return pid, pidfd, err
}

func (b *boundThread) run() {
	runtime.LockOSThread() // for good: the thread ends with this goroutine
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err != nil {
		err = fmt.Errorf("set no_new_privs: %w", err)
	}
	for fork := range b.forks {
		fork(err)
	}
}

func (b *boundThread) close() {
	b.begin.Do(func() {})
	if b.forks != nil {
		close(b.forks)
		b.forks = nil
	}
	b.wg.Wait()
}
