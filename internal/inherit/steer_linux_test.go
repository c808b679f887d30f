package inherit

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// listenersOf returns a listener of a process's own for each slot.
func listenersOf(t *testing.T, g *Group) []net.Listener {
	t.Helper()
	var all []net.Listener
	for slot := range g.Len() {
		fd, err := unix.FcntlInt(uintptr(g.FD(slot)), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Listener(fd)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		all = append(all, l)
	}
	return all
}

// answer lets each slot answer connections with its number, until the test
// ends.
func answer(t *testing.T, g *Group) {
	t.Helper()
	var running sync.WaitGroup
	t.Cleanup(running.Wait) // after the listeners were closed
	for slot, l := range listenersOf(t, g) {
		running.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Write([]byte{byte(slot)})
				c.Close()
			}
		})
	}
}

// ask makes n connections and counts which slots answer.
func ask(t *testing.T, g *Group, n int) []int {
	t.Helper()
	counts := make([]int, g.Len())
	for range n {
		c := dial(t, g)
		var b [1]byte
		if _, err := c.Read(b[:]); err != nil {
			t.Fatal(err)
		}
		c.Close()
		counts[b[0]]++
	}
	return counts
}

func TestSteering(t *testing.T) {
	for _, addr := range []string{"tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://:0"} {
		t.Run(addr, func(t *testing.T) {
			if strings.Contains(addr, "::1") && !hasIPv6() {
				t.Skip("enable IPv6 to run")
			}
			g := mustOpen(t, addr, Slots, 4)
			if g.Mode() != Slots {
				t.Skip("the kernel refuses to steer")
			}
			answer(t, g)
			for _, ready := range [][]int{{0}, {3}, {1}, {2}, {0, 2}, {1, 2, 3}, {0, 1, 2, 3}, {3, 0, 0}} {
				steer(t, g, ready)
				checkSpread(t, ask(t, g, 40*len(ready)), ready)
			}
			steer(t, g, nil)
			steer(t, g, nil) // nothing is attached any more
			checkSpread(t, ask(t, g, 160), []int{0, 1, 2, 3})
		})
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

func steer(t *testing.T, g *Group, ready []int) {
	t.Helper()
	if err := g.Steer(ready); err != nil {
		t.Fatal(err)
	}
}

// checkSpread wants nothing at slots that are not ready and a share at those
// that are. That a slot with a chance of at least 1/4 gets fewer than 8 of 160
// has a probability below 1e-10.
func checkSpread(t *testing.T, counts, ready []int) {
	t.Helper()
	for slot, n := range counts {
		in := slices.Contains(ready, slot)
		if !in && n != 0 || in && n < 8 {
			t.Errorf("steered to %v: slot %d got %d of %v", ready, slot, n, counts)
		}
	}
}

func TestSteeringRefusesSlotsThatAreNotThere(t *testing.T) {
	g := mustOpen(t, "tcp://127.0.0.1:0", Slots, 2)
	for _, ready := range [][]int{{2}, {-1}, {0, 7}} {
		if err := g.Steer(ready); err == nil {
			t.Errorf("steered to %v", ready)
		}
	}
	if g.FD(2) != -1 || g.FD(-1) != -1 {
		t.Errorf("descriptors %d, %d of slots that are not there", g.FD(2), g.FD(-1))
	}
}

// What waits on a slot's socket when the slot is steered away is served by
// whoever accepts there later.
func TestQueuedConnectionsStay(t *testing.T) {
	g := mustOpen(t, "tcp://127.0.0.1:0", Slots, 2)
	if g.Mode() != Slots {
		t.Skip("the kernel refuses to steer")
	}
	steer(t, g, []int{1})
	var queued []net.Conn
	for range 20 {
		c := dial(t, g)
		defer c.Close()
		queued = append(queued, c)
	}
	steer(t, g, []int{0})
	answer(t, g)
	for i, c := range queued {
		b := []byte{99}
		if _, err := c.Read(b); err != nil || b[0] != 1 {
			t.Errorf("connection %d was answered by slot %d, %v; want 1", i, b[0], err)
		}
	}
	checkSpread(t, ask(t, g, 40), []int{0})
}

func TestGrowthKeepsSocketsAndSteering(t *testing.T) {
	g := mustOpen(t, "tcp://127.0.0.1:0", Slots, 0)
	if g.Mode() != Slots {
		t.Skip("the kernel refuses to steer")
	}
	steer(t, g, []int{0}) // a single socket
	for _, step := range []struct {
		slots int
		ready []int
	}{{2, []int{1}}, {5, []int{4}}, {3, []int{0, 3}}} {
		before := slices.Clone(g.fds)
		if err := g.Grow(step.slots); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, g.fds[:len(before)]); diff != "" || len(g.fds) < step.slots {
			t.Errorf("grown to %d, sockets changed (-before +after):\n%s", step.slots, diff)
		}
		steer(t, g, step.ready)
		t.Run(fmt.Sprint(step.slots), func(t *testing.T) {
			answer(t, g)
			checkSpread(t, ask(t, g, 60), step.ready)
			addr := g.Addr()
			if l, err := Parse(addr); err != nil || l.TCP.Port() == 0 {
				t.Errorf("address %s, %v", addr, err)
			}
		})
	}
}

func TestFallbackWhenSteeringIsRefused(t *testing.T) {
	l, err := Parse("tcp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(int, []unix.SockFilter) error { return unix.EOPNOTSUPP }
	g, err := open(&Group{listen: l, mode: One, attach: refuse}, Slots)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := errors.Join(g.Grow(4), g.Steer([]int{0, 3})); err != nil {
		t.Fatal(err)
	}
	if g.Mode() != One || g.Len() != 1 || g.FD(0) != g.FD(3) {
		t.Errorf("mode %s, %d sockets, slots 0 and 3 have %d and %d; want one for all", g.Mode(), g.Len(), g.FD(0), g.FD(3))
	}
	t.Run("serves", func(t *testing.T) {
		answer(t, g)
		checkSpread(t, ask(t, g, 10), []int{0})
	})
}

// The program gives each slot for exactly one remainder, whatever the set.
func TestSteeringProgram(t *testing.T) {
	for _, slots := range [][]int{{0}, {7}, {0, 1, 2}, {1, 2}, {0, 2}, {0, 1, 4, 5, 9}, {3, 4, 6, 8, 9, 10}} {
		program := steering(slots)
		var got []int
		for random := range uint32(len(slots)) {
			got = append(got, run(t, program, random))
		}
		if diff := cmp.Diff(slots, got); diff != "" {
			t.Errorf("program for %v (-want +got):\n%s", slots, diff)
		}
	}
}

// run interprets the few instructions that a steering program is made of.
func run(t *testing.T, program []unix.SockFilter, random uint32) int {
	t.Helper()
	var a uint32
	for pc := 0; pc < len(program); pc++ {
		i := program[pc]
		switch i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = random
		case unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K:
			a %= i.K
		case unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K:
			a += i.K
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			if a >= i.K {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		case unix.BPF_RET | unix.BPF_A:
			return int(a)
		default:
			t.Fatalf("instruction %#x", i.Code)
		}
	}
	t.Fatal("the program ends without an answer")
	return 0
}

// The longest program that a pool may need: every other one of 512 slots.
func TestTheKernelTakesTheLongestProgram(t *testing.T) {
	g := mustOpen(t, "tcp://127.0.0.1:0", Slots, 512)
	if g.Mode() != Slots {
		t.Skip("the kernel refuses to steer")
	}
	var ready []int
	for slot := 1; slot < 512; slot += 2 {
		ready = append(ready, slot)
	}
	steer(t, g, ready)
	steer(t, g, []int{511})
	c := dial(t, g)
	defer c.Close()
	accepted, _, err := unix.Accept4(g.FD(511), unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatalf("nothing on the last slot: %v", err)
	}
	unix.Close(accepted)
}

// Connections that were open when a server ended, and are in TIME_WAIT, do not
// keep the next one from its port.
func TestTimeWaitIsNotInUse(t *testing.T) {
	l, err := Parse("tcp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, err := Open(l, Slots)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, g)
	server, err := acceptWithin(g.FD(0))
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(server) // the side that closes first gets TIME_WAIT
	_, _ = c.Read(make([]byte, 1))
	c.Close()
	addr := g.Addr()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, addr, Slots, 2)
}

// acceptWithin waits for a connection on a non-blocking socket.
func acceptWithin(fd int) (int, error) {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, int(patience/time.Millisecond)); n != 1 {
		return -1, errors.Join(errors.New("no connection came"), err)
	}
	accepted, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
	return accepted, err
}

// TestGrowthFromOneSocket: a single socket is steered nowhere, but the choice
// holds as soon as there is a second, whose worker is only being started.
func TestGrowthFromOneSocket(t *testing.T) {
	g := mustOpen(t, "tcp://127.0.0.1:0", Slots, 0)
	if g.Mode() != Slots {
		t.Skip("the kernel refuses to steer")
	}
	steer(t, g, []int{0})
	if err := g.Grow(3); err != nil {
		t.Fatal(err)
	}
	answer(t, g)
	checkSpread(t, ask(t, g, 60), []int{0})
}

// TestDeathWhileASecondSocketComes: the process ends after the second socket of
// a group listens, and before the group is steered. No connection was left on
// that socket, which nobody else has.
func TestDeathWhileASecondSocketComes(t *testing.T) {
	for _, restored := range []bool{false, true} {
		t.Run(fmt.Sprint("restored ", restored), func(t *testing.T) {
			g := mustOpen(t, "tcp://127.0.0.1:0", Slots, 0)
			if g.Mode() != Slots {
				t.Skip("the kernel refuses to steer")
			}
			if restored {
				listen, err := Parse(g.Addr())
				if err != nil {
					t.Fatal(err)
				}
				if g, err = Restore(listen, Slots, g.FDs()); err != nil {
					t.Fatal(err)
				}
			} else {
				steer(t, g, []int{0})
			}
			const clients = 32
			var sent []int
			g.attach = func(int, []unix.SockFilter) error {
				for range clients {
					sent = append(sent, connecting(t, g))
				}
				return unix.EIO // and what has come is closed, as by the end of the process
			}
			if err := g.Grow(2); !errors.Is(err, unix.EIO) || g.Len() != 1 {
				t.Fatalf("grown to %d sockets, %v", g.Len(), err)
			}
			for i, fd := range sent {
				poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
				if n, err := unix.Poll(poll, int(patience/time.Millisecond)); n != 1 {
					t.Fatalf("client %d: not connected, %v", i, err)
				}
				if code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); code != 0 || err != nil || poll[0].Revents&unix.POLLHUP != 0 {
					t.Errorf("client %d: %v, events %#x, %v", i, unix.Errno(code), poll[0].Revents, err)
				}
			}
			for range clients {
				fd, err := acceptWithin(g.FD(0))
				if err != nil {
					t.Fatal(err)
				}
				unix.Close(fd)
			}
		})
	}
}

// connecting returns a socket of a client that has asked for a connection.
func connecting(t *testing.T, g *Group) int {
	t.Helper()
	fd, err := newTCPSocket(g.bound.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	sa, err := sockaddr(g.bound)
	if err == nil {
		err = unix.Connect(fd, sa)
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		t.Fatal(err)
	}
	return fd
}
