package builtin

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/commandline"
)

func attachFlags(flags *pflag.FlagSet) {
	flags.Bool("read-only", false, "only look; any number may")
	flags.Bool("follow", false, "when the process has ended, go on with the next one of the slot")
}

const (
	keyDetach = "\x1d" // Ctrl-]
	// calm takes back what a program may have set: its colours, a hidden cursor.
	calm = "\x1b[m\x1b[?25h"
	// calmPaste is for a terminal that nobody edits lines on after it.
	calmPaste = "\x1b[?2004l"
	// nextEvery is how often the next process of a slot is looked for.
	nextEvery = 200 * time.Millisecond
)

var errUnplugged = errors.New("the caller detached")

// attachment is a caller's terminal at that of a worker.
type attachment struct {
	call   *Call
	id     string
	typist string               // empty: it only looks
	keys   commandline.Keyboard // nil: there is no terminal
	out    *markless
	seen   control.TerminalOutput // the last one
	known  chan uint64            // 1 slot: the process that keys go to
}

func workerAttach(ctx context.Context, call *Call) error {
	a := &attachment{call: call, id: call.Args[1], known: make(chan uint64, 1), out: &markless{w: call.Out}}
	if !call.given("read-only") {
		a.typist = rand.Text()
	}
	if call.JSON && a.typist != "" {
		return commands.Usagef("worker attach: --json needs --read-only")
	}
	if call.in.Keyboard == nil && a.typist != "" {
		err := commands.Usagef("worker attach needs a terminal, or --read-only")
		err.Hint = "ssh -t HOST worker attach " + a.id
		return err
	}
	if call.in.Keyboard != nil && !call.JSON {
		keys, err := call.in.Keyboard()
		if err != nil {
			return err
		}
		defer keys.Release()
		a.keys, a.out.w = keys, keys
	}
	_, err := call.worker(ctx, a.id) // a stream would wait for the next primary
	if err == nil {
		err = a.run(ctx)
	}
	if errors.Is(err, errUnplugged) {
		return nil
	}
	return err
}

// run shows the terminal until the caller detaches or the process has ended.
func (a *attachment) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	typing := make(chan struct{})
	if a.keys == nil {
		close(typing)
	} else {
		go func() {
			defer close(typing)
			cancel(a.read(ctx))
		}()
	}
	err := a.follow(ctx)
	cancel(errUnplugged)
	<-typing // it has the keyboard
	a.end(err)
	return err
}

// end tells how it ended, below what the program has shown.
func (a *attachment) end(err error) {
	if a.seen.PID == 0 || a.keys == nil {
		return
	}
	reset := calm
	if a.call.Mode == commands.Exec {
		reset += calmPaste
	}
	_, _ = io.WriteString(a.keys, reset)
	if errors.Is(err, errUnplugged) {
		a.say("\r\n", "detached from worker %s, which runs on", a.id)
	}
}

// say writes a line of ours between those of the program, behind a line break if
// before is one.
func (a *attachment) say(before, format string, args ...any) {
	if !a.call.JSON {
		_, _ = fmt.Fprintf(a.out, before+"["+format+"]\r\n", args...) // a caller who has gone ends it
	}
}

func (a *attachment) follow(ctx context.Context) error {
	for {
		err := a.watch(ctx)
		if err != nil && a.seen.PID == 0 {
			return err
		}
		if err != nil && !errors.Is(err, control.ErrConflict) {
			return err
		}
		a.say("\r\n", "the process of worker %s, pid %d, has ended", a.id, a.seen.PID)
		if !a.call.given("follow") {
			return nil
		}
		if err := a.next(ctx); err != nil {
			return err
		}
	}
}

// next waits for another process of the slot.
func (a *attachment) next(ctx context.Context) error {
	a.say("", "waiting for its next one")
	for {
		w, err := a.call.worker(ctx, a.id)
		if err == nil && w.PID != 0 && w.Incarnation != a.seen.Incarnation {
			return nil
		}
		if err != nil && !errors.Is(err, control.ErrUnavailable) {
			return err
		}
		select {
		case <-time.After(nextEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// watch shows one process.
func (a *attachment) watch(ctx context.Context) error {
	return control.Watch(ctx, a.call.Primary, control.TerminalQuery{ID: a.id, Typist: a.typist}, func(o control.TerminalOutput) error {
		if a.call.JSON {
			a.seen = o
			return a.call.item(a.call.Out, o, o.Cursor, "")
		}
		if o.Incarnation == a.seen.Incarnation && o.Epoch != a.seen.Epoch {
			a.say("", "the primary was replaced")
		}
		if o.Incarnation != a.seen.Incarnation {
			a.begin(o)
		}
		a.seen = o
		if o.Skipped > 0 {
			a.say("", "%d bytes skipped", o.Skipped)
		}
		if _, err := a.out.Write(o.Data); err != nil {
			return err
		}
		return context.Cause(ctx)
	})
}

func (a *attachment) begin(o control.TerminalOutput) {
	how := "Ctrl-] detaches"
	if a.typist == "" {
		how = "only to look; " + how
	}
	if a.keys != nil {
		a.say("", "attached to worker %s, pid %d; %s", a.id, o.PID, how)
	}
	select {
	case <-a.known:
	default:
	}
	a.known <- o.Incarnation
}

// read takes keys until the caller detaches.
func (a *attachment) read(ctx context.Context) error {
	var inc uint64
	typed := make(chan []byte)
	reading := make(chan error, 1)
	go func() { reading <- a.keysTo(ctx, typed) }()
	defer func() {
		for range typed { // until it has ended
		}
	}()
	for {
		var data []byte
		select {
		case inc = <-a.known:
		case <-a.keys.Resized():
		case err := <-reading:
			return err
		case data = <-typed:
			if len(data) == 0 {
				continue
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := a.pass(ctx, inc, data); err != nil {
			a.say("", "not typed: %s", commands.Safe(err.Error()))
		}
	}
}

// keysTo reads the keyboard, up to Ctrl-], and closes typed.
func (a *attachment) keysTo(ctx context.Context, typed chan<- []byte) error {
	defer close(typed)
	for buf := make([]byte, 4<<10); ; {
		n, err := a.keys.Read(ctx, buf)
		if errors.Is(err, io.EOF) { // the terminal has gone
			return errUnplugged
		}
		if err != nil {
			return err
		}
		data, detach := buf[:n], false
		if i := bytes.IndexAny(data, a.leaving()); i >= 0 {
			data, detach = data[:i], true
		}
		select {
		case typed <- bytes.Clone(data):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if detach {
			return errUnplugged
		}
	}
}

// leaving are the keys that detach.
func (a *attachment) leaving() string {
	if a.typist == "" {
		return keyDetach + "\x03"
	}
	return keyDetach
}

// pass sends keys with the size of the screen.
func (a *attachment) pass(ctx context.Context, inc uint64, data []byte) error {
	if a.typist == "" || inc == 0 {
		return nil
	}
	q := control.TerminalRequest{ID: a.id, Incarnation: inc, Typist: a.typist, Data: data}
	q.Columns, q.Rows = a.keys.Size()
	_, err := answer(ctx, func(ctx context.Context) (control.Job, error) { return a.call.Primary.Do(ctx, q, nil) })
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// markless keeps a program from speaking to our own client, which finds marks in
// the output: the beginning of one is not passed on.
type markless struct {
	w    io.Writer
	mu   sync.Mutex // held for one write
	held int        // bytes of markBegin that came last
}

const markBegin = "\x1b_norestart;"

func (m *markless) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []byte
	for _, b := range p {
		if b != markBegin[m.held] {
			out = append(out, markBegin[:m.held]...)
			m.held = 0
		}
		if b != markBegin[m.held] {
			out = append(out, b)
		} else if m.held++; m.held == len(markBegin) {
			m.held = 0
		}
	}
	if _, err := m.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
