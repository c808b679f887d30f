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

// StartTime tells when the process pid was started, in clock ticks since boot.
// A process is identified by its pid and this.
func StartTime(pid int) (uint64, error) {
	s, err := readStat(pid)
	return s.started, err
}

// Ended tells whether the process pid has ended, be it that nobody has reaped it
// yet. The caller makes sure that pid is still who it means.
func Ended(pid int) bool {
	s, err := readStat(pid)
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) || err == nil && s.ended
}

// ReadUsage tells what the process pid uses. The caller makes sure that pid is
// still who it means.
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

// stat is what we read of /proc/PID/stat.
type stat struct {
	ended   bool   // field 3, state: zombie or dead
	group   int    // field 5, pgrp
	ticks   uint64 // fields 14 and 15, utime and stime
	started uint64 // field 22, starttime
	pages   int64  // field 24, rss
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, fmt.Errorf("read process: %w", err)
	}
	s, err := parseStat(b)
	if err != nil {
		return stat{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	return s, nil
}

var errStat = errors.New("/proc/PID/stat is not understood")

// parseStat parses /proc/PID/stat (proc_pid_stat(5)). The name in field 2 is
// in brackets and may itself hold brackets, blanks and line feeds.
func parseStat(b []byte) (stat, error) {
	end := bytes.LastIndexByte(b, ')')
	fields := bytes.Fields(b[end+1:])
	if end < 0 || len(fields) < 22 {
		return stat{}, errStat
	}
	field := func(n int) string { return string(fields[n-3]) }
	ended := field(3) == "Z" || field(3) == "X"
	group, err0 := strconv.ParseInt(field(5), 10, 32)
	utime, err1 := strconv.ParseUint(field(14), 10, 62)
	stime, err2 := strconv.ParseUint(field(15), 10, 62)
	started, err3 := strconv.ParseUint(field(22), 10, 64)
	pages, err4 := strconv.ParseInt(field(24), 10, 50)
	if err := errors.Join(err0, err1, err2, err3, err4); err != nil {
		return stat{}, fmt.Errorf("%w: %w", errStat, err)
	}
	return stat{ended: ended, group: int(group), ticks: utime + stime, started: started, pages: pages}, nil
}
