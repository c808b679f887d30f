package inherit

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// attachFunc attaches a program to the SO_REUSEPORT group of a socket.
type attachFunc func(fd int, program []unix.SockFilter) error

// attachProgram needs no privilege. It fails with EOPNOTSUPP on MPTCP sockets
// and where a sandbox forbids it.
func attachProgram(fd int, program []unix.SockFilter) error {
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}

// Steer sends new connections only to the slots in ready, each with the same
// chance. What is queued on another slot's socket waits there for a process
// that accepts from it. With no slot at all connections are spread over all
// sockets again. In mode One, and with a single socket, there is nothing to
// choose.
//
// When Steer fails the last choice stays in force.
func (g *Group) Steer(ready []int) error {
	ready = slices.Compact(slices.Sorted(slices.Values(ready)))
	if n := len(ready); n > 0 && (ready[0] < 0 || g.mode == Slots && ready[n-1] >= len(g.fds)) {
		return fmt.Errorf("steer %s to slots %v: there are %d", g.Addr(), ready, len(g.fds))
	}
	g.ready = ready
	if g.mode == One || len(g.fds) < 2 {
		return nil // a socket is in no group before there is a second
	}
	var err error
	if len(ready) == 0 {
		err = g.detach()
	} else {
		err = g.attach(g.fds[0], steering(ready))
	}
	if err != nil {
		return fmt.Errorf("steer %s to slots %v: %w", g.Addr(), ready, err)
	}
	return nil
}

func (g *Group) detach() error {
	err := unix.SetsockoptInt(g.fds[0], unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0)
	if errors.Is(err, unix.ENOENT) { // none was attached
		return nil
	}
	return err
}

// loadRandom is the offset of classic BPF's pseudo field with a random number
// (linux/filter.h: SKF_AD_OFF + SKF_AD_RANDOM).
const loadRandom = 0xfffff000 + 56

// steering is the program that returns a random one of the slots, which are
// sorted. It numbers them from 0, draws a number and adds what is missing to
// it, so its length goes with the gaps, not with the slots:
//
//	ld random
//	mod #slots
//	jge #start, 0, 2    for each run of neighbours but the first, last one first
//	add #offset
//	ret a
//	add #offset         the first run
//	ret a
func steering(slots []int) []unix.SockFilter {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: loadRandom},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(len(slots))},
	}
	for i := len(slots) - 1; i >= 0; i-- {
		if i > 0 && slots[i-1]+1 == slots[i] {
			continue // not the first of its run
		}
		if i > 0 {
			program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, Jf: 2, K: uint32(i)})
		}
		program = append(program,
			unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K, K: uint32(slots[i] - i)},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_A})
	}
	return program
}
