package primary

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// console writes lines for whoever started the primary, without ever waiting
// for a reader: lines that find no room are counted and told later.
type console struct {
	out    io.Writer
	name   string
	lines  chan string
	missed atomic.Int64 // lines that found no room
	due    atomic.Int64 // lines that wait or are being written
	done   chan struct{}
}

const consoleRoom = 256

func newConsole(out io.Writer, name string) *console {
	return &console{out: out, name: name, lines: make(chan string, consoleRoom), done: make(chan struct{})}
}

// say queues one line.
func (c *console) say(text string) { c.queue(c.name + ": " + text + "\n") }

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
			line = fmt.Sprintf("%s: %d lines are missing here, see: log\n%s", c.name, n, line)
		}
		_, _ = io.WriteString(c.out, line) // a console that has gone is no reason to stop
		c.due.Add(-1)
	}
}

// close lets the queued lines out, but waits no longer than a second for a
// reader that has stopped.
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

// leaveWait is how long an exec waits for the reader of the console.
const leaveWait = 100 * time.Millisecond

// leave lets the queued lines out and takes those for which the reader was too
// slow. The one that is being written may be cut by the exec: it is missed.
func (c *console) leave() (left consoleImage) {
	for end := time.Now().Add(leaveWait); c.due.Load() > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
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
