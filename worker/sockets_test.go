package worker

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
)

// TestCloseOnExec: no program that a worker starts gets the pool's sockets, be
// they in a row or not, and nothing else is touched.
func TestCloseOnExec(t *testing.T) {
	const first = 700 // above what is open
	for name, fds := range map[string][]int{
		"none": {}, "one": {0}, "a row": {0, 1, 2}, "gaps": {0, 2, 5}, "in another order": {0, 2, 1, 3}, "a gap and an order": {0, 3, 2}, "twice": {0, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			want := make(map[int]bool)
			var all []ipc.Socket
			for i := range 6 {
				must(t, unix.Dup2(0, first+i))
				defer unix.Close(first + i)
			}
			for _, fd := range fds {
				want[first+fd] = true
				all = append(all, ipc.Socket{FD: first + fd})
			}
			closeOnExec(all)
			for fd := first; fd < first+6; fd++ {
				flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
				must(t, err)
				if got := flags&unix.FD_CLOEXEC != 0; got != want[fd] {
					t.Errorf("descriptor %d is closed on exec: %v, want %v", fd-first, got, want[fd])
				}
			}
		})
	}
}
