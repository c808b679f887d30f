package inherit

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestAPortInUseIsRefusedAndTheHolderNamed(t *testing.T) {
	for _, c := range []struct{ role, held, wanted string }{
		{"hold alone", "127.0.0.1:0", "127.0.0.1"},
		{"hold shared", "127.0.0.1:0", "127.0.0.1"},
		{"hold and hand on", "127.0.0.1:0", "127.0.0.1"},
		{"hold alone", "127.0.0.1:0", "0.0.0.0"},
		{"hold shared", "0.0.0.0:0", "127.0.0.1"},
		{"hold shared", "127.0.0.1:0", "[::]"},
	} {
		for _, share := range []string{Slots, One} {
			t.Run(c.role+" "+c.held+" "+c.wanted+" "+share, func(t *testing.T) {
				pid, held := startRole(t, c.role, c.held)
				port := netip.MustParseAddrPort(held).Port()
				addr := fmt.Sprintf("%s:%d", c.wanted, port)
				want := fmt.Sprintf("listen tcp %s: address already in use by pid %d (inherit.test)", addr, pid)
				refused(t, "tcp://"+addr, share, want)
			})
		}
	}
}

// refused checks that an address cannot be opened, and why.
func refused(t *testing.T, addr, share, want string) {
	t.Helper()
	l, err := Parse(addr)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Open(l, share)
	if err == nil {
		g.Close()
		t.Fatalf("%s was opened twice", addr)
	}
	if err.Error() != want || !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// Two clusters of the same user never share a port, at whatever moment the
// second comes.
func TestGroupsDoNotJoinEachOther(t *testing.T) {
	for slots := range 3 {
		g := mustOpen(t, "tcp://127.0.0.1:0", Slots, slots)
		want := fmt.Sprintf("listen tcp %s: address already in use by pid %d (inherit.test)", g.bound, os.Getpid())
		refused(t, g.Addr(), Slots, want)
		refused(t, g.Addr(), One, want)
	}
}

func TestListeningOn(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0
   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1
   2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1
   3: 0100007F:1F90 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 14 1
   4: 0200007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 15 1
   5: 0000000000000000FFFF00000100007F:1F90 0:0 0A 0:0 00:0 0     0        0 16 1
   6: 00000000000000000000000001000000:1F90 0:0 0A 0:0 00:0 0     0        0 17 1
   7: zz:1F90 0:0 0A 0:0 00:0 0     0        0 18 1
`
	if !littleEndian() {
		t.Skip("the table is one of a little-endian machine")
	}
	for addr, want := range map[string][]string{
		"127.0.0.1:8080": {"11", "12", "16"},
		"[::1]:8080":     {"12", "17"},
		"0.0.0.0:8081":   {"13"},
		"127.0.0.1:1":    nil,
	} {
		inodes := map[string]bool{}
		listeningOn(table, netip.MustParseAddrPort(addr), inodes)
		wanted := map[string]bool{}
		for _, inode := range want {
			wanted[inode] = true
		}
		if diff := cmp.Diff(wanted, inodes); diff != "" {
			t.Errorf("%s (-want +got):\n%s", addr, diff)
		}
	}
}

func littleEndian() bool {
	a, ok := parseHexAddr("0100007F:0001")
	return ok && a == netip.MustParseAddrPort("127.0.0.1:1")
}

// The primary may have a higher pid than its workers, once pids have wrapped.
func TestTheRootOfTheHolders(t *testing.T) {
	parents := map[int]int{10: 99, 11: 99, 99: 1, 5: 10}
	parent := func(pid int) int { return parents[pid] }
	for _, c := range []struct {
		pids []int
		want int
	}{{nil, 0}, {[]int{10}, 10}, {[]int{10, 99, 11}, 99}, {[]int{10, 5, 99}, 99}, {[]int{11, 10}, 10}} {
		if got := root(c.pids, parent); got != c.want {
			t.Errorf("root of %v is %d, want %d", c.pids, got, c.want)
		}
	}
}

func TestAHolderThatIsNotVisible(t *testing.T) {
	err := inUseBy(0)
	if want := "address already in use by a process that we may not see"; err.Error() != want || !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
	if got := printable("a\x1b[2Jb\u202e"); got != "a?[2Jb?" {
		t.Errorf("name %q", got)
	}
}

func FuzzListeningOn(f *testing.F) {
	f.Add("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1\n")
	f.Add("0: 00000000000000000000000001000000:1F90 x 0A 1 2 3 4 5 77")
	f.Fuzz(func(t *testing.T, table string) {
		listeningOn(table, netip.MustParseAddrPort("127.0.0.1:8080"), map[string]bool{})
	})
}
