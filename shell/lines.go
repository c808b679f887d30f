package shell

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
)

// maxLine is how long a line of a script, an answer, or a line of the TLS
// shell may be, in bytes.
const maxLine = 8 << 10

var errLongLine = errors.New("line longer than 8 kB")

// lines gives the lines of a stream one by one to whoever wants the next: the
// session its commands, a command its answers. It reads one line ahead.
type lines struct {
	found chan line
	done  chan struct{}
	taken atomic.Int64
}

type line struct {
	text string
	err  error // errLongLine, or why there is no more
}

// readLines starts to read r. The goroutine ends when r does or, if it waits
// for somebody to take a line, when close is called. start runs it and
// reports false when it may not begin.
func readLines(r io.Reader, start func(func()) bool) *lines {
	l := &lines{found: make(chan line), done: make(chan struct{})}
	if !start(func() { l.read(bufio.NewReaderSize(r, maxLine+2)) }) {
		close(l.found)
	}
	return l
}

func (l *lines) close() { close(l.done) }

// number is that of the line that next returned last, from 1.
func (l *lines) number() int { return int(l.taken.Load()) }

// read ends by closing found.
func (l *lines) read(r *bufio.Reader) {
	defer close(l.found)
	for {
		next, more := readLine(r)
		select {
		case l.found <- next:
		case <-l.done:
			return
		}
		if !more {
			return
		}
	}
}

// readLine reads one line without its end. A line that is too long is read to
// its end and is an error, and so is the end of the stream; a last line
// without an end counts.
func readLine(r *bufio.Reader) (next line, more bool) {
	p, err := r.ReadSlice('\n')
	long := len(p) > maxLine+2 || errors.Is(err, bufio.ErrBufferFull)
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice('\n')
	}
	text := bytes.TrimSuffix(bytes.TrimSuffix(p, []byte("\n")), []byte("\r"))
	switch {
	case long || len(text) > maxLine:
		return line{err: errLongLine}, err == nil
	case err != nil && len(p) == 0:
		return line{err: err}, false
	}
	return line{text: string(text)}, true
}

// next waits for the next line. ctxs end the wait with their cause.
func (l *lines) next(ctxs ...context.Context) (string, error) {
	var ends [2]<-chan struct{}
	for i, ctx := range ctxs {
		ends[i] = ctx.Done()
	}
	select {
	case got, ok := <-l.found:
		if !ok {
			return "", io.EOF
		}
		l.taken.Add(1)
		return got.text, got.err
	case <-ends[0]:
		return "", context.Cause(ctxs[0])
	case <-ends[1]:
		return "", context.Cause(ctxs[1])
	}
}
