package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/durable"
)

// LogsFile is the file in the state directory that has which lines are in files.
const LogsFile = "logs.json"

// Bounds of writing lines into files.
const (
	queuedLines = 4096            // of a file that is slow; what comes beyond them is dropped
	placeEvery  = time.Second     // how often it is noted which lines are in files
	lastWrites  = 2 * time.Second // how long a file may take at the end of the agent
)

// logs writes what workers write into files. One goroutine reads the stream of the
// primary and never waits for a disk; each file has a goroutine of its own.
type logs struct {
	control control.Control
	file    string              // with its lock beside it
	files   map[string]*logFile // by pool
}

func newLogs(c control.Control, file string, counted counted, all []Log) *logs {
	l := &logs{control: c, file: file, files: make(map[string]*logFile)}
	for _, one := range all {
		l.files[one.Pool] = newLogFile(one, func(outcome string, n int64) { counted.lines.WithLabelValues(one.Pool, outcome).Add(float64(n)) })
	}
	return l
}

// run writes lines until ctx ends.
func (l *logs) run(ctx context.Context) {
	lock, err := durable.Acquire(ctx, l.file+".lock") // the agent before this one may still be writing
	if err != nil {
		if ctx.Err() == nil {
			warn("no log file is written: %v", err)
		}
		return
	}
	defer lock.Release()
	for _, f := range l.files {
		go f.run() // a disk that hangs may hold it for ever
	}
	at := l.load()
	saved := time.Now()
	_ = lines.follow(ctx, l.control, at, func(x control.LogLine) error { // it ends with ctx
		at = x.Cursor
		l.take(x)
		if time.Since(saved) > placeEvery {
			saved = time.Now()
			l.save(l.written(at))
		}
		return nil
	})
	l.end()
	l.save(l.written(at))
}

// take hands a line on. Of which pools the lines before it were that were missed is
// not known: each file tells it.
func (l *logs) take(x control.LogLine) {
	if x.Skipped > 0 {
		note := x
		note.Worker, note.Text = ourselves, fmt.Sprintf("up to %d lines of all pools are missing here: they came faster than they could be read", x.Skipped)
		for _, f := range l.files {
			l.give(f, note)
		}
	}
	if f := l.files[poolOf(x.Worker)]; f != nil {
		l.give(f, x)
	}
}

// give hands a line to the goroutine of its file, if that has room.
func (l *logs) give(f *logFile, x control.LogLine) {
	select {
	case f.lines <- x:
		f.sent.Store(x.Seq)
	default:
		f.dropped.Add(1)
		f.count("dropped", 1)
	}
}

// written is the place up to which all lines have been dealt with; at is the last
// that was read.
func (l *logs) written(at control.Cursor) control.Cursor {
	for _, f := range l.files {
		if done := f.done.Load(); done < f.sent.Load() && done < at.Seq {
			at.Seq = done
		}
	}
	return at
}

// end gives the files a moment for what they have been given.
func (l *logs) end() {
	deadline := time.After(lastWrites)
	for _, f := range l.files {
		close(f.lines)
		select {
		case <-f.ended:
		case <-deadline:
			warn("log of pool %s: what came last is not in it", f.Pool)
			return
		}
	}
}

func (l *logs) load() (at control.Cursor) {
	text, err := os.ReadFile(l.file)
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		warn("log files may have lines twice: %v", err)
	}
	return at
}

func (l *logs) save(at control.Cursor) {
	text, err := json.Marshal(at)
	if err == nil {
		err = durable.WriteFile(l.file, text, 0o600)
	}
	if err != nil {
		warn("log files may get lines twice: %v", err)
	}
}
