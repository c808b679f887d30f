package e2e

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
)

// terminal is a person at a program: what is typed and what is seen.
type terminal struct {
	*program
	tty *os.File

	mu    sync.Mutex // protects what follows
	shown []byte     // since the script looked last
	all   []byte
}

func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shown = append(t.shown, p...)
	t.all = append(t.all, p...)
	return len(p), nil
}

// find looks for re in what has come since the last look, and goes on behind it.
func (t *terminal) find(re *regexp.Regexp) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := re.FindIndex(t.shown)
	if at == nil {
		return false
	}
	t.shown = t.shown[at[1]:]
	return true
}

func (t *terminal) rest() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.shown)
}

// openTerminal starts a program on a terminal of its own, of $COLUMNS columns
// (80) and 24 rows:
//
//	terminal NAME PROGRAM [ARG…]
//
// All that it showed is in the file NAME.out when it has ended.
func openTerminal(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	s := of(ts)
	if len(args) < 2 || s.programs[args[0]] != nil {
		ts.Fatalf("usage: terminal NAME PROGRAM [ARG…], each NAME once")
	}
	if ts.Getenv(args[0]) != "" {
		ts.Fatalf("terminal %s: that is a variable already", args[0])
	}
	cols, err := strconv.ParseUint(cmp.Or(ts.Getenv("COLUMNS"), "80"), 10, 16)
	ts.Check(err)
	path, err := lookPath(ts, args[1])
	ts.Check(err)
	cmd := exec.Command(path, args[2:]...)
	cmd.Env, cmd.Dir = append(s.environ(ts), "TERM="+cmp.Or(ts.Getenv("TERM"), "xterm")), ts.MkAbs(".")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: uint16(cols)})
	ts.Check(err)
	t := &terminal{program: &program{cmd: cmd, out: filepath.Join(s.work, args[0]+".out"), done: make(chan struct{})}, tty: tty}
	go func() { // ends with the program; the script's end waits for it
		_, _ = tty.WriteTo(t) // EIO, when the last one has closed the other side
		_ = cmd.Wait()        // its state tells
		_ = tty.Close()
		_ = os.WriteFile(t.out, t.all, 0o600)
		close(t.done)
	}()
	s.programs[args[0]], s.terminals[args[0]] = t.program, t
	s.set(ts, args[0], strconv.Itoa(cmd.Process.Pid))
}

func terminalOf(ts *testscript.TestScript, args []string, usage string, n int) *terminal {
	if len(args) != n || of(ts).terminals[args[0]] == nil {
		ts.Fatalf("usage: %s, after terminal NAME", usage)
	}
	return of(ts).terminals[args[0]]
}

// typeKeys types, with escapes as in Go: \r is Enter, \x03 Ctrl-C.
func typeKeys(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	t := terminalOf(ts, args, "type NAME KEYS", 2)
	keys, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	_, err = t.tty.WriteString(keys)
	ts.Check(err)
}

// sees waits until the terminal shows what matches, after what was seen last.
// With ! it must not be among what has come since then.
func sees(ts *testscript.TestScript, neg bool, args []string) {
	within, args := takeWithin(ts, args, patience)
	t := terminalOf(ts, args, "sees [-within D] NAME RE", 2)
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	if neg {
		if t.find(re) {
			ts.Fatalf("%s shows %q", args[0], re)
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if poll(ctx, func() bool { return t.find(re) }) != nil {
		ts.Fatalf("%s does not show %q within %v, but %q", args[0], re, within, t.rest())
	}
}

// never looks at all that a terminal has shown.
func never(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	t := terminalOf(ts, args, "never NAME RE", 2)
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	t.mu.Lock()
	defer t.mu.Unlock()
	if at := re.FindIndex(t.all); at != nil {
		ts.Fatalf("%s has shown %q: %q", args[0], re, t.all[at[0]:at[1]])
	}
}

func resize(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	t := terminalOf(ts, args, "resize NAME COLUMNS ROWS", 3)
	cols, err := strconv.ParseUint(args[1], 10, 16)
	ts.Check(err)
	rows, err := strconv.ParseUint(args[2], 10, 16)
	ts.Check(err)
	ts.Check(pty.Setsize(t.tty, &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)}))
}
