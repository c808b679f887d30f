package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the unit of times in /proc: USER_HZ, 100 on every Linux
// that Go runs on (time(7)).
const ticksPerSecond = 100

// StartTime returns when the process pid was started, in clock ticks since
// boot. With its pid it identifies the process.
func StartTime(pid int) (uint64, error) {
	s, err := readStat(pid)
	return s.started, err
}

// Ended reports whether the process pid has ended, reaped or not. The caller
// makes sure that pid still means the same process.
func Ended(pid int) bool {
	s, err := readStat(pid)
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) || err == nil && s.ended
}

// ReadUsage returns what the process pid uses. The caller makes sure that pid
// still means the same process.
func ReadUsage(pid int) (Usage, error) {
	s, err := readStat(pid)
	if err != nil {
		return Usage{}, err
	}
	return Usage{
		CPU: time.Duration(s.ticks) * (time.Second / ticksPerSecond),
		RSS: s.pages * int64(os.Getpagesize()),
	}, nil
}

// stat holds fields of /proc/PID/stat.
type stat struct {
	ended   bool   // field 3, state: zombie or dead
	parent  int    // field 4, ppid
	group   int    // field 5, pgrp
	session int    // field 6, session
	ticks   uint64 // fields 14 and 15, utime and stime
	started uint64 // field 22, starttime
	pages   int64  // field 24, rss
}

// statRoom is more than the kernel writes: a name and 50 numbers.
const statRoom = 2 << 10

func readStat(pid int) (stat, error) { return readStatBy(make([]byte, statRoom), pid) }

// readStatBy makes three system calls and little garbage: it is called for each
// process of the machine.
func readStatBy(buf []byte, pid int) (stat, error) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return stat{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	n, err := unix.Read(fd, buf)
	unix.Close(fd)
	if err != nil {
		return stat{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	s, err := parseStat(buf[:n])
	if err != nil {
		return stat{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	return s, nil
}

var errStat = errors.New("/proc/PID/stat is not understood")

// parseStat parses /proc/PID/stat (proc_pid_stat(5)). The name in field 2 is
// in brackets and may itself hold brackets, blanks and line feeds.
func parseStat(b []byte) (stat, error) {
	const state, last = 3, 24
	var ended bool
	var fields [last + 1]int64 // by their numbers
	end, n := bytes.LastIndexByte(b, ')'), state
	if end < 0 {
		return stat{}, errStat
	}
	for f := range bytes.FieldsSeq(b[end+1:]) {
		var err error
		if n == state {
			ended = string(f) == "Z" || string(f) == "X"
		} else if fields[n], err = strconv.ParseInt(string(f), 10, 64); err != nil {
			return stat{}, fmt.Errorf("%w: %w", errStat, err)
		}
		if n++; n > last {
			return stat{
				ended: ended, parent: int(fields[4]), group: int(fields[5]), session: int(fields[6]),
				ticks: uint64(fields[14] + fields[15]), started: uint64(fields[22]), pages: fields[24],
			}, nil
		}
	}
	return stat{}, errStat
}
