package e2e

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/norestart/norestart/internal/harness"
)

// terminal is a person at a program: what is typed and what is seen.
type terminal struct {
	*program
	tty *os.File
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
	p := &harness.Program{Cmd: cmd, Done: make(chan struct{}), Screen: harness.NewScreen()}
	t := &terminal{program: &program{p, filepath.Join(s.work, args[0]+".out")}, tty: tty}
	go func() { // ends with the program; the script's end waits for it
		_, _ = tty.WriteTo(t.Screen) // EIO, when the last one has closed the other side
		_ = cmd.Wait()               // its state tells
		_ = tty.Close()
		_ = os.WriteFile(t.out, t.Screen.All(), 0o600)
		close(t.Done)
	}()
	s.programs[args[0]], s.terminals[args[0]] = t.program, t
	s.set(ts, args[0], strconv.Itoa(t.PID()))
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
	within, args := takeWithin(ts, args, harness.Patience)
	t := terminalOf(ts, args, "sees [-within D] NAME RE", 2)
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	if neg {
		if _, found := t.Screen.Find(re); found {
			ts.Fatalf("%s shows %q", args[0], re)
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if _, err := t.Screen.See(ctx, re); err != nil {
		ts.Fatalf("%s, after %v: %v", args[0], within, err)
	}
}

// never looks at all that a terminal has shown.
func never(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	t := terminalOf(ts, args, "never NAME RE", 2)
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	if text := re.Find(t.Screen.All()); text != nil {
		ts.Fatalf("%s has shown %q: %q", args[0], re, text)
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
