package inherit

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// handedSlots are the slots of the group that is handed over, and the one that
// it is steered to.
const (
	handedSlots = 5
	handedReady = 3
)

// handOver opens a group and sends its sockets on the socket conn, the last
// slot's first, so that the numbers that they get at the other end are in no
// useful order.
func handOver(conn int) (addr string, err error) {
	l, err := Parse(os.Getenv(addrVariable))
	if err != nil {
		return "", err
	}
	g, err := Open(l, Slots)
	if err != nil {
		return "", err
	}
	if err := g.Grow(handedSlots); err != nil {
		return "", err
	}
	if g.Mode() == Slots {
		if err := g.Steer([]int{handedReady}); err != nil {
			return "", err
		}
	}
	fds := g.FDs()
	slices.Reverse(fds)
	return g.Addr(), unix.Sendmsg(conn, []byte{0}, unix.UnixRights(fds...), nil, 0)
}

// handedOver starts a process that hands its group over, and returns what came,
// in slot order.
func handedOver(t *testing.T, addr string) (first *actor, bound string, fds []int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	first = start(t, "hand over", addr, pair[1])
	unix.Close(pair[1])
	bound = first.line(t)
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(pair[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		t.Fatal(err)
	}
	control := make([]byte, unix.CmsgSpace(4*handedSlots))
	_, n, _, _, err := unix.Recvmsg(pair[0], make([]byte, 1), control, 0)
	if err != nil {
		t.Fatalf("%s: %v", bound, err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	fds, err = unix.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(fds)
	return first, bound, fds
}

func mustParse(t *testing.T, s string) Listen {
	t.Helper()
	l, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustRestore(t *testing.T, addr, share string, fds []int) *Group {
	t.Helper()
	g, err := Restore(mustParse(t, addr), share, fds)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// The index of a socket in the group is that of the first listening, whoever
// holds the socket now: copies that came by SCM_RIGHTS into another process
// still have it after the process that listened was killed. What was queued is
// still queued, and what steered still steers.
func TestTheOrderOutlivesTheProcessThatListened(t *testing.T) {
	for _, addr := range []string{"tcp://127.0.0.1:0", "tcp://:0"} {
		t.Run(addr, func(t *testing.T) {
			first, bound, fds := handedOver(t, addr)
			var queued []net.Conn
			for range 5 {
				c := dialAddr(t, bound)
				defer c.Close()
				queued = append(queued, c)
			}
			first.kill(t)
			g := mustRestore(t, addr, Slots, fds)
			if g.Mode() != Slots {
				t.Skip("the kernel refuses to steer")
			}
			if g.Addr() != bound || g.Len() != handedSlots || !slices.Equal(g.FDs(), fds) {
				t.Errorf("address %s, descriptors %v; want %s, %v", g.Addr(), g.FDs(), bound, fds)
			}
			answer(t, g)
			for i, c := range queued {
				b := []byte{99}
				if _, err := c.Read(b); err != nil || b[0] != handedReady {
					t.Errorf("queued connection %d was answered by slot %d, %v; want %d", i, b[0], err, handedReady)
				}
			}
			checkSpread(t, ask(t, g, 20), []int{handedReady})
			for slot := range handedSlots {
				steer(t, g, []int{slot})
				checkSpread(t, ask(t, g, 20), []int{slot})
			}
		})
	}
}

// A restored group grows and is steered like any other.
func TestARestoredGroupGrows(t *testing.T) {
	_, _, fds := handedOver(t, "tcp://127.0.0.1:0") // which stays, as a worker would
	g := mustRestore(t, "tcp://127.0.0.1:0", Slots, fds)
	if g.Mode() != Slots {
		t.Skip("the kernel refuses to steer")
	}
	if err := g.Grow(handedSlots + 2); err != nil {
		t.Fatal(err)
	}
	answer(t, g)
	for _, ready := range [][]int{{handedSlots + 1}, {0, handedSlots}} {
		steer(t, g, ready)
		checkSpread(t, ask(t, g, 40), ready)
	}
}

// dups are copies of a group's sockets, without CLOEXEC, as over exec.
func dups(t *testing.T, g *Group) (fds []int) {
	t.Helper()
	for _, fd := range g.FDs() {
		fds = append(fds, dup(t, fd))
	}
	return fds
}

func dup(t *testing.T, fd int) int {
	t.Helper()
	d, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRestoreFindsTheMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	for _, c := range []struct {
		addr, opened string
		slots        int
		share, want  string
	}{
		{"tcp://127.0.0.1:0", Slots, 1, Slots, Slots},
		{"tcp://127.0.0.1:0", Slots, 3, Slots, Slots},
		{"tcp://127.0.0.1:0", One, 1, One, One},
		{"tcp://127.0.0.1:0", One, 1, Slots, One}, // where the kernel refused to steer
		{"tcp://127.0.0.1:0", Slots, 1, One, One},
		{"unix://" + path, Slots, 1, Slots, One},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			first := mustOpen(t, c.addr, c.opened, c.slots)
			if first.Mode() == One && c.opened == Slots && !strings.HasPrefix(c.addr, "unix") {
				t.Skip("the kernel refuses to steer")
			}
			fds := dups(t, first)
			g := mustRestore(t, c.addr, c.share, fds)
			if g.Mode() != c.want || g.Addr() != first.Addr() || g.Listen() != first.Listen() {
				t.Errorf("mode %s at %s, want %s at %s", g.Mode(), g.Addr(), c.want, first.Addr())
			}
			for _, fd := range fds {
				if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags != unix.FD_CLOEXEC || err != nil {
					t.Errorf("flags of descriptor %d: %d, %v; want FD_CLOEXEC", fd, flags, err)
				}
			}
		})
	}
}

func TestRestoreRefusesAndLeavesOpen(t *testing.T) {
	dir := t.TempDir()
	slots, other := mustOpen(t, "tcp://127.0.0.1:0", Slots, 3), mustOpen(t, "tcp://127.0.0.1:0", Slots, 2)
	alone, six := mustOpen(t, "tcp://127.0.0.1:0", One, 1), -1
	sock := mustOpen(t, "unix://"+filepath.Join(dir, "app.sock"), One, 1).FD(0)
	if slots.Mode() != Slots {
		t.Skip("the kernel refuses to steer")
	}
	if hasIPv6() {
		six = mustOpen(t, "tcp://[::1]:0", One, 1).FD(0)
	}
	idle, err := newTCPSocket(slots.bound.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(idle)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	a, b := slots.FD(0), slots.FD(1)
	again := dup(t, a)
	defer unix.Close(again)
	free, exact := "tcp://127.0.0.1:0", slots.Addr()
	for _, c := range []struct {
		addr, share string
		fds         []int
		want        string
	}{
		{free, "none", []int{a}, `unknown share "none"`},
		{free, Slots, nil, "no sockets"},
		{free, One, []int{a, b}, "2 sockets where all processes share one"},
		{"unix://" + dir + "/app.sock", Slots, []int{sock, sock}, "2 sockets where all"},
		{free, Slots, []int{a, -1}, "slot 1, descriptor -1: bad file descriptor"},
		{free, Slots, []int{int(null.Fd())}, "not a socket that listens"},
		{free, Slots, []int{a, idle}, "not a socket that listens"},
		{free, Slots, []int{sock}, "not an internet socket"},
		{free, Slots, []int{a, b, a}, fmt.Sprintf("slots 0 and 2 have the same socket (descriptors %d and %d)", a, a)},
		{free, Slots, []int{b, a, again}, fmt.Sprintf("slots 1 and 2 have the same socket (descriptors %d and %d)", a, again)},
		{free, Slots, []int{a, other.FD(1)}, fmt.Sprintf("slot 1, descriptor %d: listens on %s, the one before it on %s", other.FD(1), other.bound, slots.bound)},
		{exact, Slots, []int{other.FD(0)}, "listens on " + other.bound.String()},
		{"tcp://127.0.0.2:0", Slots, []int{a}, "listens on " + slots.bound.String()},
		{"tcp://0.0.0.0:0", Slots, []int{a}, "listens on " + slots.bound.String()},
		{alone.Addr(), Slots, []int{alone.FD(0), a}, "listens on " + slots.bound.String()},
		{free, One, []int{six}, "listens on [::1]:"},
		{"unix://" + dir + "/other.sock", One, []int{sock}, fmt.Sprintf("listens on %q", dir+"/app.sock")},
		{"unix://" + dir + "/app.sock", One, []int{a}, "not a unix stream socket"},
	} {
		if slices.Equal(c.fds, []int{-1}) {
			continue // a machine without IPv6
		}
		g, err := Restore(mustParse(t, c.addr), c.share, c.fds)
		if err == nil || g != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("restore %s, %s, %v: %v, want %s", c.addr, c.share, c.fds, err, c.want)
		}
	}
	for _, fd := range []int{a, b, again, sock, idle, other.FD(1), alone.FD(0)} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			t.Errorf("descriptor %d, which was refused: %v", fd, err)
		}
	}
	if flags, err := unix.FcntlInt(uintptr(again), unix.F_GETFD, 0); flags != 0 || err != nil {
		t.Errorf("flags of a descriptor that was refused: %d, %v", flags, err)
	}
}

// Two sockets of one port of which one is not shared: only a privileged or
// foolish hand makes such a set, and steering would not hold for it.
func TestRestoreRefusesASocketThatIsNotShared(t *testing.T) {
	g := mustOpen(t, "tcp://127.0.0.1:0", Slots, 2)
	if g.Mode() != Slots {
		t.Skip("the kernel refuses to steer")
	}
	fds := g.FDs()
	if err := unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_REUSEPORT, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(g.Listen(), Slots, fds); err == nil || !strings.Contains(err.Error(), "slot 1, descriptor") || !strings.Contains(err.Error(), "not shared") {
		t.Errorf("restore: %v", err)
	}
}

func TestRestoreRefusesMultipath(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	if err != nil {
		t.Skip("enable MPTCP to run")
	}
	defer unix.Close(fd)
	if err := bindAndListen(fd, mustParse(t, "tcp://127.0.0.1:0").TCP); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(mustParse(t, "tcp://127.0.0.1:0"), Slots, []int{fd}); err == nil || !strings.Contains(err.Error(), "protocol 262") {
		t.Errorf("restore: %v", err)
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		listen, bound string
		want          bool
	}{
		{"tcp://:80", "[::]:80", true},
		{"tcp://:80", "0.0.0.0:80", true}, // opened without IPv6
		{"tcp://:80", "127.0.0.1:80", false},
		{"tcp://0.0.0.0:80", "[::]:80", false},
		{"tcp://:80", "[::]:81", false},
		{"tcp://:0", "[::]:81", true},
		{"tcp://[fe80::1%a]:1", "[fe80::1%b]:1", false},
	} {
		if got := mustParse(t, c.listen).fits(mustParse(t, "tcp://"+c.bound).TCP); got != c.want {
			t.Errorf("%s on %s: %t, want %t", c.listen, c.bound, got, c.want)
		}
	}
}

// A unix socket is restored wherever its file is, and a file is removed in the
// end only if nobody listens on it.
func TestRestoredUnixSocket(t *testing.T) {
	for name, dir := range map[string]string{"short": t.TempDir(), "long": longDir(t)} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "app.sock")
			first := openUnwatched(t, path)
			g := mustRestore(t, "unix://"+path, Slots, first.FDs())
			l := listenersOf(t, g)[0]
			answers(t, path, l)
			l.Close()
			fd := dup(t, g.FD(0)) // a worker that is still there
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("a file that somebody listens on: %v", err)
			}
			if done, err := g.RemoveFile(); done || err != nil {
				t.Errorf("while somebody listens: %v, %v", done, err)
			}
			unix.Close(fd)
			if done, err := g.RemoveFile(); !done || err != nil {
				t.Errorf("when nobody listens: %v, %v", done, err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a file that nobody listens on: %v", err)
			}
		})
	}
}

// openUnwatched opens a group and forgets it, as execve(2) does: only its
// socket is left.
func openUnwatched(t *testing.T, path string) *Group {
	t.Helper()
	g, err := Open(Listen{Path: path}, One)
	if err != nil {
		t.Fatal(err)
	}
	g.file.close()
	return g
}

func TestRestoredUnixSocketWhoseFileIsAnothers(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		t.Run(when, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "app.sock")
			fds := openUnwatched(t, path).FDs()
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			var g *Group
			if when == "after" {
				g = mustRestore(t, "unix://"+path, One, fds)
			}
			next, err := ListenUnix(path, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer next.Close()
			if when == "before" {
				g = mustRestore(t, "unix://"+path, One, fds)
			}
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
			if done, err := g.RemoveFile(); done == (when == "before") || err != nil {
				t.Errorf("the file of another: %v, %v", done, err)
			}
			answers(t, path, next)
		})
	}
}

func TestCookie(t *testing.T) {
	g := mustOpen(t, "tcp://127.0.0.1:0", Slots, 2)
	fds := append(g.FDs(), dup(t, g.FD(0)))
	defer unix.Close(fds[len(fds)-1])
	var cookies []uint64
	for _, fd := range fds {
		c, err := Cookie(fd)
		if err != nil {
			t.Fatal(err)
		}
		cookies = append(cookies, c)
	}
	last := len(cookies) - 1
	if cookies[0] != cookies[last] || last > 1 && cookies[0] == cookies[1] {
		t.Errorf("cookies %v of two sockets and a copy of the first", cookies)
	}
	if _, err := Cookie(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("cookie of nothing: %v", err)
	}
}
