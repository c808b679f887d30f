package launch

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/seize"
)

// The whole environment of the launcher.
const (
	RoleVariable = "NORESTART_ROLE"      // Role
	fdVariable   = "NORESTART_LAUNCH_FD" // the number of the plan's descriptor
	Role         = "launch"
)

// Stage is the launcher as a process to start, in the words of proc.Command.
type Stage struct {
	Path  string
	Argv  []string
	Env   []string
	Files []int // the program's descriptors, the plan, the launcher's end of calls

	plan  int
	calls []int // of a seized program: where its notify descriptor comes, and the launcher's end
}

// New returns the process that carries out a plan. self is this binary; files
// are the descriptors that the program gets as 0, 1, … (-1: closed), and their
// number replaces plan.Files. The caller closes the stage after starting it, or
// after failing to.
func New(self string, plan Plan, files []int) (*Stage, error) {
	plan.Files = len(files)
	b, err := encode(plan)
	if err != nil {
		return nil, fmt.Errorf("launch %s: %w", plan.Path, err)
	}
	fd, err := Seal("plan", b)
	if err != nil {
		return nil, fmt.Errorf("launch %s: write plan: %w", plan.Path, err)
	}
	s := &Stage{
		Path:  self,
		Argv:  []string{plan.Argv[0]},
		Env:   []string{RoleVariable + "=" + Role, fdVariable + "=" + strconv.Itoa(len(files))},
		Files: append(slices.Clone(files), fd),
		plan:  fd,
	}
	if !plan.Seize {
		return s, nil
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("launch %s: %w", plan.Path, err)
	}
	s.calls = pair[:]
	s.Files = append(s.Files, s.calls[1])
	return s, nil
}

// Own is how many descriptors the launcher needs behind those of the program: the
// plan, its end of calls, and the gate that the caller appends. What the caller
// appends to these is there for [Plan.Path] alone.
func (p Plan) Own() int {
	n := 1
	for _, needed := range []bool{p.Seize, p.Gate} {
		if needed {
			n++
		}
	}
	return n
}

// Notify returns the descriptor over which a program with [Plan.Seize] is
// supervised, when the launcher that was started has come so far. It fails at
// the deadline, and at once if the launcher has ended; it can be called once.
// The caller closes the descriptor.
func (s *Stage) Notify(deadline time.Time) (int, error) {
	unix.Close(s.calls[1])
	f := os.NewFile(uintptr(s.calls[0]), "launcher")
	s.calls = nil
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return -1, err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(deadline); err != nil {
		return -1, err
	}
	return seize.Receive(conn.(*net.UnixConn))
}

// Close frees what the stage holds. A launcher that runs keeps its own copies.
func (s *Stage) Close() error {
	err := unix.Close(s.plan)
	for _, fd := range s.calls {
		err = errors.Join(err, unix.Close(fd))
	}
	return err
}

// allSeals makes a memfd constant (fcntl(2), F_ADD_SEALS). The launcher reads the
// plan while it is privileged, so no other process may change it.
const allSeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// Seal returns a memfd that holds b, cannot be changed and is read from its
// beginning.
func Seal(name string, b []byte) (fd int, err error) {
	fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, err
	}
	if err = writeAt0(fd, b); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, allSeals)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func writeAt0(fd int, b []byte) error {
	for done := 0; done < len(b); {
		n, err := unix.Pwrite(fd, b[done:], int64(done))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		done += max(n, 0)
	}
	return nil
}

var errNotSealed = errors.New("plan is not a sealed memfd")

// readPlan reads the plan from fd without moving the file position, which a
// sibling may share.
func readPlan(fd int) (Plan, error) {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || seals&allSeals != allSeals {
		return Plan{}, errNotSealed
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Plan{}, err
	}
	if st.Size > maxPlan {
		return Plan{}, fmt.Errorf("plan has %d bytes, want at most %d", st.Size, maxPlan)
	}
	b := make([]byte, st.Size)
	for done := 0; done < len(b); {
		n, err := unix.Pread(fd, b[done:], int64(done))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return Plan{}, err
		}
		if n == 0 {
			return Plan{}, errNotSealed
		}
		done += max(n, 0)
	}
	return decode(b)
}
