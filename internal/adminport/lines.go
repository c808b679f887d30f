package adminport

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
)

// maxLine bounds a line of a script, an answer, and a line of the TLS shell, in
// bytes.
const maxLine = 8 << 10

var errLongLine = errors.New("line longer than 8 kB")

// lines hands out a stream line by line: to the session as commands, to a command
// as answers. It reads one line ahead.
type lines struct {
	found chan line
	done  chan struct{}
	taken atomic.Int64
}

type line struct {
	text string
	err  error // errLongLine, or why there is no more
}

// readLines starts to read r. The goroutine ends with r or, while it waits for
// somebody to take a line, with close. start runs it, or reports false if it may
// not begin.
func readLines(r io.Reader, start func(func()) bool) *lines {
	l := &lines{found: make(chan line), done: make(chan struct{})}
	if !start(func() { l.read(bufio.NewReaderSize(r, maxLine+2)) }) {
		close(l.found)
	}
	return l
}

func (l *lines) close() { close(l.done) }

// number is the number of the last line that next returned, from 1.
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

// readLine reads one line without its line break. A line that is too long is
// skipped and is an error, as is the end of the stream. A last line without a
// line break counts, unless the stream broke off.
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
	case err != nil && (len(p) == 0 || !errors.Is(err, io.EOF)): // half a line is none
		return line{err: err}, false
	}
	return line{text: string(text)}, true
}

// next waits for the next line, or for the end of a context, whose cause it
// returns.
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
