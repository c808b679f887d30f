package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/harness"
)

var errGone = errors.New("the process has gone")

// freeze stops a process and returns when none of its threads runs any more:
// what it has accepted then is all that it ever will.
func freeze(pid int) error {
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	for range 500 {
		still, err := stopped(pid)
		if err != nil || still {
			return err
		}
		time.Sleep(2 * time.Millisecond)
	}
	return fmt.Errorf("process %d does not stop", pid)
}

// stopped reports whether every thread is (proc_pid_stat(5), state T).
func stopped(pid int) (bool, error) {
	tasks, err := os.ReadDir(harness.ProcPath(pid, "task"))
	if err != nil {
		return false, fmt.Errorf("%w: %w", errGone, err)
	}
	for _, t := range tasks {
		state, err := harness.State(pid, "task/"+t.Name()+"/stat")
		if err != nil {
			return false, nil // a thread that has just ended
		}
		switch state {
		case 'T', 't':
		case 'Z', 'X':
			return false, errGone
		default:
			return false, nil
		}
	}
	return len(tasks) > 0, nil
}

// connections are the TCP connections that a process holds, by the address of
// the other side.
func connections(pid int) (map[string]bool, error) {
	table, err := os.ReadFile(harness.ProcPath(pid, "net/tcp"))
	if err != nil {
		return nil, err
	}
	remotes, err := parseTCP(table)
	if err != nil {
		return nil, err
	}
	open, err := harness.Descriptors(pid)
	if err != nil {
		return nil, err
	}
	held := make(map[string]bool)
	for _, to := range open {
		inode, ok := strings.CutPrefix(to, "socket:[")
		if remote := remotes[strings.TrimSuffix(inode, "]")]; ok && remote != "" {
			held[remote] = true
		}
	}
	return held, nil
}

// parseTCP reads the table of proc_pid_net(5): the addresses of the other
// sides, by the inodes of the sockets.
func parseTCP(table []byte) (map[string]string, error) {
	remotes := make(map[string]string)
	lines := bufio.NewScanner(bytes.NewReader(table))
	lines.Scan() // the head
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 10 {
			return nil, fmt.Errorf("line %q", lines.Text())
		}
		remote, err := parseAddress(words[2])
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		if inode := words[9]; inode != "0" && remote.Port() != 0 {
			remotes[inode] = remote.String()
		}
	}
	return remotes, lines.Err()
}

// parseAddress reads "0100007F:1F90": the address is a number in the byte
// order of the machine, the port is one as people write it.
func parseAddress(text string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw) != 4 {
		return netip.AddrPort{}, fmt.Errorf("address %q", text)
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q", text)
	}
	var addr [4]byte
	binary.NativeEndian.PutUint32(addr[:], binary.BigEndian.Uint32(raw))
	return netip.AddrPortFrom(netip.AddrFrom4(addr), uint16(n)), nil
}

func usage(pid int) (files, memory int, err error) {
	open, err := harness.Descriptors(pid)
	if err != nil {
		return 0, 0, err
	}
	m, err := harness.MemoryOf(pid)
	return len(open), m.RSS, err
}
