package primary

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
)

const (
	maxLine  = 4 << 10 // of a line; the rest is dropped
	tailSize = 20      // last lines of a process …
	tailRoom = 8 << 10 // … and bytes of them, because exits keep them
	pipeSize = 256 << 10
)

// output is what one process writes: stdout and stderr on one pipe. The worker's
// end is open for reading and writing (pipe(7)), so that it survives the primary:
// without a reader the pipe fills instead of killing the writer. A process with a
// terminal (terminal.go) writes there instead.
type output struct {
	worker string
	inc    uint64
	keep   *eventLog[control.LogLine]
	show   func(worker, text string)

	screen  *screen  // of a process with a terminal
	file    *os.File // our end, non-blocking; nil: that of an adopted terminal, which has not come back
	partial []byte
	cut     bool // the rest of a line that is too long is being dropped
	tail    []string
	tailed  int // bytes in tail
	cause   cause
	awaits  func(line string) bool // until it returns true; nil: nothing
	found   bool                   // it has returned true

	mu       sync.Mutex    // protects what follows, and the start of a reader
	finished bool          // the process has ended
	stopped  chan struct{} // the reader has ended
}

// openOutput makes the pipe; the returned descriptor is for the child.
func openOutput() (ours *os.File, child int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, -1, err
	}
	child, err = unix.Open(procFD(p[1]), unix.O_RDWR|unix.O_CLOEXEC, 0)
	err = errors.Join(err, unix.Close(p[1]), unix.SetNonblock(p[0], true))
	if err != nil {
		_ = unix.Close(p[0])
		return nil, -1, err
	}
	_, _ = unix.FcntlInt(uintptr(p[0]), unix.F_SETPIPE_SZ, pipeSize) // it may refuse
	return os.NewFile(uintptr(p[0]), "worker output"), child, nil
}

// read takes lines until the process has ended (see finish) or all writers have
// closed the pipe.
func (o *output) read() {
	defer close(o.stopped)
	buf := make([]byte, 4<<10)
	for {
		n, err := o.file.Read(buf)
		o.take(buf[:n])
		if err != nil {
			return
		}
	}
}

// finish is called when the process has been reaped. That is the end of its log,
// even if another process still holds the pipe. All that the process wrote is in
// the pipe by then. why finds in it why the process has ended by itself. There is
// no output of a process whose pipe was lost (nil).
func (o *output) finish() (why func() string, lines []string) {
	if o == nil {
		return func() string { return "" }, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finished = true
	if o.file != nil {
		o.halt()
		o.drain(o.take)
		_ = o.file.Close()
	}
	if len(o.partial) > 0 {
		o.line()
	}
	o.screen.close()
	return func() string { return o.cause.text(o.tail) }, o.tail
}

func (o *output) halt() {
	_ = o.file.SetReadDeadline(time.Now()) // a pipe that the poller cannot watch ends by EOF
	<-o.stopped
}

// pause ends the reader; unread output stays in the pipe for the next image of
// the primary. false: the process has ended, or its terminal is somewhere else.
func (o *output) pause() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.finished || o.file == nil {
		return false
	}
	o.halt()
	return true
}

func (o *output) carryOn(wg *sync.WaitGroup) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.finished {
		return
	}
	_ = o.file.SetReadDeadline(time.Time{})
	o.stopped = make(chan struct{})
	wg.Go(o.read)
}

// image is what the next image of the primary needs to read on.
func (o *output) image() (outputImage, error) {
	fd, err := inherit.RawFD(o.file)
	return outputImage{FD: fd, Partial: o.partial, Cut: o.cut, Tail: o.tail, Cause: o.cause, Found: o.found, Screen: o.screen.image()}, err
}

// drain reads what is in the pipe without waiting, and no more: another process
// may write for ever.
func (o *output) drain(take func([]byte)) {
	_ = o.file.SetReadDeadline(time.Time{})
	raw, err := o.file.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 4<<10)
	for left := pipeSize; left > 0; {
		err := raw.Read(func(fd uintptr) bool {
			n, err := unix.Read(int(fd), buf)
			if left -= n; err != nil || n <= 0 {
				left = 0
				return true
			}
			take(buf[:n])
			return true
		})
		if err != nil {
			return
		}
	}
}

// take splits data into lines.
func (o *output) take(data []byte) {
	o.screen.add(data)
	for len(data) > 0 {
		i := bytes.IndexByte(data, '\n')
		whole := i >= 0
		piece := data
		if whole {
			piece, data = data[:i], data[i+1:]
		} else {
			data = nil
		}
		if room := maxLine - len(o.partial); len(piece) > room {
			piece, o.cut = piece[:room], true
		}
		o.partial = append(o.partial, piece...)
		if whole {
			o.line()
		}
	}
}

func (o *output) line() {
	text := string(bytes.TrimSuffix(o.partial, []byte{'\r'}))
	if o.cut {
		text += " …"
	}
	o.partial, o.cut = o.partial[:0], false
	o.remember(text)
	o.cause.take(text)
	if o.awaits != nil && o.awaits(text) {
		o.awaits, o.found = nil, true
	}
	o.keep.add(func(c control.Cursor) control.LogLine {
		return control.LogLine{Cursor: c, Time: time.Now(), Worker: o.worker, Incarnation: o.inc, Text: text}
	})
	o.show(o.worker, text)
}

// remember keeps the last lines, within their room.
func (o *output) remember(text string) {
	o.tail, o.tailed = append(o.tail, text), o.tailed+len(text)
	drop := 0
	for len(o.tail)-drop > tailSize || o.tailed > tailRoom {
		o.tailed -= len(o.tail[drop])
		drop++
	}
	o.tail = slices.Delete(o.tail, 0, drop)
}

// quoted escapes control characters of a worker's line.
func quoted(text string) string {
	clean := func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }
	if !strings.ContainsFunc(text, clean) {
		return text
	}
	q := strconv.QuoteToASCII(text)
	return q[1 : len(q)-1]
}
