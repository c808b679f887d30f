package inherit

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// InUseError says that another process listens on an address already.
type InUseError struct {
	PID  int    // of that process; 0 when it is not visible to us
	Name string // its program's name, as the kernel knows it
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return "address already in use by a process that we may not see"
	}
	return fmt.Sprintf("address already in use by pid %d (%s)", e.PID, e.Name)
}

// Unwrap makes the error match EADDRINUSE.
func (e *InUseError) Unwrap() error { return unix.EADDRINUSE }

// explainInUse turns EADDRINUSE for a TCP address into an [*InUseError].
func explainInUse(addr netip.AddrPort, err error) error {
	if !errors.Is(err, unix.EADDRINUSE) {
		return err
	}
	return inUseBy(root(holders(listeningAt(addr)), parent))
}

// listeningAt returns the sockets that listen on a TCP address, by inode.
func listeningAt(addr netip.AddrPort) map[string]bool {
	inodes := map[string]bool{}
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if b, err := os.ReadFile(name); err == nil {
			listeningOn(string(b), addr, inodes)
		}
	}
	return inodes
}

func inUseBy(pid int) *InUseError {
	if pid <= 0 {
		return &InUseError{}
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return &InUseError{PID: pid, Name: "?"}
	}
	return &InUseError{PID: pid, Name: printable(strings.TrimSuffix(string(b), "\n"))}
}

// printable makes a name that a process chose itself safe for a terminal.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, name)
}

// listening is TCP_LISTEN in /proc/net/tcp (net/tcp_states.h).
const listening = "0A"

// listeningOn adds the inodes of the sockets in table, which is in the form of
// /proc/net/tcp (proc_pid_net(5)), that a listener on addr collides with.
func listeningOn(table string, addr netip.AddrPort, inodes map[string]bool) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != listening {
			continue
		}
		local, ok := parseHexAddr(f[1])
		if ok && local.Port() == addr.Port() && collide(local.Addr(), addr.Addr()) {
			inodes[f[9]] = true
		}
	}
}

// collide reports whether two addresses of the same port may be the same.
func collide(a, b netip.Addr) bool {
	return a.IsUnspecified() || b.IsUnspecified() || a.Unmap() == b.Unmap().WithZone("")
}

// parseHexAddr reads "0100007F:1F90": 32-bit words in the order of this
// machine, then the port.
func parseHexAddr(s string) (netip.AddrPort, bool) {
	ip, port, _ := strings.Cut(s, ":")
	b, err1 := hex.DecodeString(ip)
	p, err2 := strconv.ParseUint(port, 16, 16)
	if err1 != nil || err2 != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, false
	}
	for w := b; len(w) > 0; w = w[4:] {
		binary.NativeEndian.PutUint32(w, binary.BigEndian.Uint32(w))
	}
	addr, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr, uint16(p)), true
}

// holders returns the processes that hold one of the sockets, as far as they
// are visible to us.
func holders(inodes map[string]bool) (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil || len(inodes) == 0 {
		return nil
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && holds(pid, inodes) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func holds(pid int, inodes map[string]bool) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false // gone, or not visible to us
	}
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		target, err := os.Readlink(dir + "/" + e.Name())
		inode, ok := strings.CutPrefix(target, "socket:[")
		return err == nil && ok && inodes[strings.TrimSuffix(inode, "]")]
	})
}

// root returns the holder whose parent does not hold the socket: of a cluster
// it is the primary, whose workers inherited it. It is 0 if there is none.
func root(pids []int, parent func(pid int) int) int {
	slices.Sort(pids)
	for _, pid := range pids {
		if !slices.Contains(pids, parent(pid)) {
			return pid
		}
	}
	return 0
}

// parent reads field 4 of /proc/PID/stat, after the name in brackets.
func parent(pid int) int {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 2 {
		return 0
	}
	ppid, _ := strconv.Atoi(f[1])
	return ppid
}
