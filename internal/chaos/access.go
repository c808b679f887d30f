package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// keptLines bounds what is kept of the access log: some minutes.
const keptLines = 1 << 16

// accessLog reads what the workers write of connections and requests. It is a
// pipe, so that an hour of it fills no disk; it is open for writing as well, so
// that it never ends.
type accessLog struct {
	file *os.File
	wg   sync.WaitGroup

	mu    sync.Mutex // a leaf
	lines []string   // a ring
	next  int
	last  map[string]int // the last request of each client
}

func openAccessLog(p *place, j *journal) (*accessLog, error) {
	if err := syscall.Mkfifo(p.accessPath(), 0o600); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(p.accessPath(), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	a := &accessLog{file: f, lines: make([]string, keptLines), last: make(map[string]int)}
	a.wg.Go(func() {
		in := bufio.NewScanner(f)
		for in.Scan() {
			a.read(in.Text(), j)
		}
	})
	return a, nil
}

func (a *accessLog) close() {
	_ = a.file.SetReadDeadline(time.Now()) // ends the reader
	a.wg.Wait()
	_ = a.file.Close() // nothing is written to it
}

// read keeps a line. A client sends its requests one after the other and none
// again, so no worker may begin one that is not newer than the last.
func (a *accessLog) read(line string, j *journal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines[a.next%keptLines] = line
	a.next++
	if !strings.Contains(line, " msg=begin ") {
		return
	}
	id := field(line, "id")
	i := strings.LastIndexByte(id, '-')
	if i < 0 {
		return
	}
	n, err := strconv.Atoi(id[i+1:])
	if err != nil {
		j.wrong("access log: %q", line)
		return
	}
	if n <= a.last[id[:i]] {
		j.wrong("a request was handled twice: %s", line)
	}
	a.last[id[:i]] = n
}

// field is the value of a key in a line of log/slog's text form.
func field(line, key string) string {
	_, rest, _ := strings.Cut(line, " "+key+"=")
	value, _, _ := strings.Cut(rest, " ")
	return value
}

// of is what is known of a request and of its connection: the newest lines.
func (a *accessLog) of(id, remote string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []string
	for i := max(0, a.next-keptLines); i < a.next; i++ {
		line := a.lines[i%keptLines]
		if field(line, "remote") == remote && strings.Contains(line, " msg=accept ") {
			found = nil // those before are of another connection
		}
		if field(line, "id") == id || field(line, "remote") == remote {
			found = append(found, line)
		}
	}
	if len(found) == 0 {
		return []string{"no worker wrote of it"}
	}
	return found[max(0, len(found)-8):]
}
