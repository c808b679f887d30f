package proc

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// fdDir lists a process's own descriptors.
const fdDir = "/proc/self/fd/"

// outOfTheWay returns path in a form that the child can execute.
// "/proc/self/fd/N" is resolved in the child, where N may be one of c.Files by
// then, or hold one of them while syscall.ForkExec moves them, all of them to
// higher numbers. So N is copied above that; close the copy when the child
// runs.
func outOfTheWay(c Command) (path string, closeCopy func(), err error) {
	number, ok := strings.CutPrefix(c.Path, fdDir)
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		return c.Path, func() {}, nil
	}
	above := len(c.Files)
	for _, fd := range c.Files {
		above = max(above, fd)
	}
	above += len(c.Files) + 2
	if n >= above {
		return c.Path, func() {}, nil
	}
	fd, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, above)
	if err != nil {
		return "", nil, err
	}
	return fdDir + strconv.Itoa(fd), func() { unix.Close(fd) }, nil
}
