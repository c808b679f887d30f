package launch

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// The environment of the launcher, which is all that it has.
const (
	RoleVariable = "NORESTART_ROLE"      // Role
	fdVariable   = "NORESTART_LAUNCH_FD" // the number of the plan's descriptor
	Role         = "launch"
)

// firstListenFD is SD_LISTEN_FDS_START (sd_listen_fds(3)).
const firstListenFD = 3

// Stage is the launcher as a process to start, in the words of proc.Command.
type Stage struct {
	Path  string
	Argv  []string
	Env   []string
	Files []int // the program's descriptors, then the plan

	plan int
}

// New returns the process that carries out a plan: self is this binary, files
// the descriptors that the program gets as 0, 1, … (their number replaces
// plan.Files; -1: closed). The caller closes the stage once it was started or
// could not be.
func New(self string, plan Plan, files []int) (*Stage, error) {
	plan.Files = len(files)
	b, err := encode(plan)
	if err != nil {
		return nil, fmt.Errorf("launch %s: %w", plan.Path, err)
	}
	fd, err := seal(b)
	if err != nil {
		return nil, fmt.Errorf("launch %s: write plan: %w", plan.Path, err)
	}
	return &Stage{
		Path:  self,
		Argv:  []string{plan.Argv[0]},
		Env:   []string{RoleVariable + "=" + Role, fdVariable + "=" + strconv.Itoa(len(files))},
		Files: append(slices.Clone(files), fd),
		plan:  fd,
	}, nil
}

// Close frees the plan. A launcher that was started keeps its own copy.
func (s *Stage) Close() error { return unix.Close(s.plan) }

// allSeals makes a memfd constant (fcntl(2), F_ADD_SEALS): environments hold
// secrets and the launcher may run before privileges are dropped, so nobody
// who finds the descriptor shall change it.
const allSeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// seal puts b in a memfd that cannot be changed.
func seal(b []byte) (fd int, err error) {
	fd, err = unix.MemfdCreate("plan", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, err
	}
	if err = writeAll(fd, b); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, allSeals)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		b = b[max(n, 0):]
	}
	return nil
}

var errNotSealed = errors.New("plan is not a sealed memfd")

// readPlan reads the plan from fd, without moving its file position, which a
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
