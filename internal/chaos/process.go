package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func procPath(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// errGone is a process that ended before something could be done to it.
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
	tasks, err := os.ReadDir(procPath(pid, "task"))
	if err != nil {
		return false, fmt.Errorf("%w: %w", errGone, err)
	}
	for _, t := range tasks {
		stat, err := os.ReadFile(procPath(pid, "task/"+t.Name()+"/stat"))
		if err != nil {
			return false, nil // a thread that has just ended
		}
		i := bytes.LastIndexByte(stat, ')')
		if i < 0 || len(stat) < i+3 {
			return false, fmt.Errorf("stat of %d: %q", pid, stat)
		}
		switch stat[i+2] {
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
	table, err := os.ReadFile(procPath(pid, "net/tcp"))
	if err != nil {
		return nil, err
	}
	remotes, err := parseTCP(table)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(procPath(pid, "fd"))
	if err != nil {
		return nil, err
	}
	held := make(map[string]bool)
	for _, e := range entries {
		to, err := os.Readlink(procPath(pid, "fd/"+e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was closed: the process runs
		}
		if err != nil {
			return nil, err
		}
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

// usage is what a process holds: descriptors and bytes of memory.
func usage(pid int) (files, memory int, err error) {
	entries, err := os.ReadDir(procPath(pid, "fd"))
	if err != nil {
		return 0, 0, err
	}
	statm, err := os.ReadFile(procPath(pid, "statm"))
	if err != nil {
		return 0, 0, err
	}
	var size, resident int
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		return 0, 0, err
	}
	return len(entries), resident * os.Getpagesize(), nil
}
