package primary

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// console writes lines to standard error without ever waiting for a reader: lines
// that find no room are counted and reported later.
type console struct {
	out    io.Writer
	name   string
	timed  bool // on a terminal, where nothing else adds the time
	lines  chan string
	missed atomic.Int64 // lines that found no room
	due    atomic.Int64 // lines that wait or are being written
	done   chan struct{}
}

const consoleRoom = 256

func newConsole(out io.Writer, name string) *console {
	return &console{out: out, name: name, timed: isTerminal(out), lines: make(chan string, consoleRoom), done: make(chan struct{})}
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// say queues one line.
func (c *console) say(text string) { c.queue(c.line(text)) }

func (c *console) line(text string) string {
	if c.timed {
		return time.Now().Format(time.TimeOnly) + " " + c.name + ": " + text + "\n"
	}
	return c.name + ": " + text + "\n"
}

func (c *console) queue(line string) {
	c.due.Add(1)
	select {
	case c.lines <- line:
	default: // the reader is too slow; log and events keep the line
		c.missed.Add(1)
		c.due.Add(-1)
	}
}

func (c *console) run() {
	defer close(c.done)
	for line := range c.lines {
		if n := c.missed.Swap(0); n > 0 {
			line = c.line(fmt.Sprintf("%d lines are left out here, see: log", n)) + line
		}
		_, _ = io.WriteString(c.out, line) // a console that has gone is no reason to stop
		c.due.Add(-1)
	}
}

// close writes the queued lines, but waits at most a second for a reader that has
// stopped.
func (c *console) close() {
	close(c.lines)
	select {
	case <-c.done:
	case <-time.After(time.Second):
	}
}

// consoleImage is what the console has not shown when the primary executes new
// code.
type consoleImage struct {
	Lines  []string `cbor:"lines,omitempty"`
	Missed int64    `cbor:"missed,omitempty"`
}

// leaveWait bounds the loop's wait for the reader of the console.
const leaveWait = 100 * time.Millisecond

// flush waits a moment for the queued lines to be written.
func (c *console) flush() {
	for end := time.Now().Add(leaveWait); c.due.Load() > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// leave writes the queued lines and returns those for which the reader was too
// slow. The exec may cut the one that is being written: it counts as missed.
func (c *console) leave() (left consoleImage) {
	c.flush()
	for range consoleRoom {
		select {
		case line := <-c.lines:
			left.Lines = append(left.Lines, line)
			c.due.Add(-1)
		default:
		}
	}
	left.Missed = c.missed.Swap(0) + c.due.Load()
	return left
}

// goOn shows what was left, here or in the image before this one.
func (c *console) goOn(left consoleImage) {
	c.missed.Add(left.Missed)
	for _, line := range left.Lines {
		c.queue(line)
	}
}
