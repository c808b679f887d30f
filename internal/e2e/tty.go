package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
)

// maxShown is how much of what a terminal showed is looked at.
const maxShown = 1 << 20

// screen is a terminal with a program, and what it has shown.
type screen struct {
	tty   *os.File
	ended chan struct{} // closed: nothing more comes

	mu    sync.Mutex // protects what follows
	shown []byte
	seen  int // up to here, by sees
}

// terminal starts a program on a terminal of its own, beside the script, as
// spawn does. What it shows is in the file NAME.out when it has ended.
func terminal(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	s := of(ts)
	if len(args) < 2 || s.programs[args[0]] != nil {
		ts.Fatalf("usage: terminal NAME PROGRAM [ARG…], each NAME once")
	}
	if ts.Getenv(args[0]) != "" {
		ts.Fatalf("terminal %s: that is a variable already", args[0])
	}
	path, err := lookPath(ts, args[1])
	ts.Check(err)
	p := &program{cmd: exec.Command(path, args[2:]...), out: filepath.Join(s.work, args[0]+".out"), done: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir = append(s.environ(ts), "TERM=xterm"), ts.MkAbs(".")
	tty, err := pty.StartWithSize(p.cmd, &pty.Winsize{Rows: 24, Cols: 100})
	ts.Check(err)
	screen := &screen{tty: tty, ended: make(chan struct{})}
	go screen.watch() // ends with the last process on the terminal
	go func() {       // ends with the program; the script's end waits for it
		_ = p.cmd.Wait() // its state tells
		<-screen.ended
		_ = os.WriteFile(p.out, screen.text(), 0o600)
		close(p.done)
	}()
	s.programs[args[0]], s.screens[args[0]] = p, screen
	s.set(ts, args[0], strconv.Itoa(p.cmd.Process.Pid))
}

func (s *screen) watch() {
	defer close(s.ended)
	defer s.tty.Close()
	for buf := make([]byte, 4<<10); ; {
		n, err := s.tty.Read(buf)
		s.mu.Lock()
		if len(s.shown) < maxShown {
			s.shown = append(s.shown, buf[:n]...)
		}
		s.mu.Unlock()
		if err != nil { // EIO, when nobody has the terminal open any more
			return
		}
	}
}

func (s *screen) text() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]byte(nil), s.shown...)
}

// find looks for what was not seen before, and moves on behind it.
func (s *screen) find(want *regexp.Regexp) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := want.FindIndex(s.shown[s.seen:])
	if at != nil {
		s.seen += at[1]
	}
	return at != nil
}

// sees waits until a terminal shows what a regular expression says, behind what
// was seen before.
func sees(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	within, args := takeWithin(ts, args, patience)
	screen := takeScreen(ts, args, "sees [-within D] NAME REGEXP")
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	over := errors.New("it has ended")
	err = poll(ctx, func() bool {
		found := screen.find(want)
		select {
		case <-screen.ended:
			if !found && !screen.find(want) {
				err = over
			}
			return true
		default:
			return found
		}
	})
	if err != nil {
		ts.Fatalf("%s does not show %q: %v; it showed:\n%s", args[0], args[1], err, screen.text())
	}
}

// types types at a terminal. The text is written as in a Go string: \r is Enter.
func types(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	screen := takeScreen(ts, args, "types NAME TEXT")
	text, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	_, err = screen.tty.WriteString(text)
	ts.Check(err)
}

func takeScreen(ts *testscript.TestScript, args []string, usage string) *screen {
	if len(args) != 2 || of(ts).screens[args[0]] == nil {
		ts.Fatalf("usage: %s, after terminal NAME", usage)
	}
	return of(ts).screens[args[0]]
}
