package adminport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/users"
)

// testTerm is a person at a terminal.
type testTerm struct {
	t    testing.TB
	s    *gossh.Session
	in   io.WriteCloser
	out  *lockedBuffer
	seen int
	end  chan error
}

// terminal opens a shell with a terminal and waits for the greeting.
func (f *fixture) terminal(user, password string) *testTerm {
	f.t.Helper()
	term := f.openTerminal(user, password, (*gossh.Session).Shell)
	term.expect("hello 2.7: well, 4 of 4 workers ready. help: help or ?\r\n" + user + "@hello> ")
	return term
}

func (f *fixture) openTerminal(user, password string, run func(*gossh.Session) error) *testTerm {
	f.t.Helper()
	s, err := f.dial(f.password(user, password)).NewSession()
	if err != nil {
		f.t.Fatal(err)
	}
	term := &testTerm{t: f.t, s: s, out: &lockedBuffer{}, end: make(chan error, 1)}
	if term.in, err = s.StdinPipe(); err != nil {
		f.t.Fatal(err)
	}
	s.Stdout = term.out
	withPty(s)
	if err := run(s); err != nil {
		f.t.Fatal(err)
	}
	go func() { term.end <- s.Wait() }()
	return term
}

func (t *testTerm) send(keys string) {
	t.t.Helper()
	if _, err := io.WriteString(t.in, keys); err != nil {
		t.t.Fatal(err)
	}
}

// expect waits until the terminal shows text after what was expected last.
func (t *testTerm) expect(text string) {
	t.t.Helper()
	shown := func() bool {
		i := strings.Index(t.out.String()[t.seen:], text)
		if i >= 0 {
			t.seen += i + len(text)
		}
		return i >= 0
	}
	defer func() {
		if t.t.Failed() {
			t.t.Logf("the terminal shows %q", t.out.String()[t.seen:])
		}
	}()
	eventually(t.t, fmt.Sprintf("%q", text), shown)
}

func (t *testTerm) wait() int { t.t.Helper(); return exitStatus(t.t, wait(t.t, "the session", t.end)) }

func TestInteractive(t *testing.T) {
	f := start(t, Config{})
	term := f.terminal("viewer", "look")
	for _, step := range []struct{ send, expect string }{
		{"foo 1\r", "foo\r\n1\r\nviewer@hello> "},
		{"fooo\r", "fooo\r\n^ unknown command. Did you mean: foo\r\nviewer@hello> "},
		{"baz\r", "Give me a number: "},
		{"21\r", "21*2 = 42\r\nviewer@hello> "},
		{"baz\r", "Give me a number: "},
		{"4\x03", "4^C\r\nviewer@hello> "},
		{"baz\r", "Give me a number: "},
		{"\x04", "error: end of input\r\nviewer@hello> "},
		{"worker ki\x03", "worker ki^C\r\nviewer@hello> "},
		{"\r", "viewer@hello> "},
		{"\x1b[A\r", "baz\r\nGive me a number: "},
		{"2\r", "2*2 = 4\r\nviewer@hello> "},
		{"foo \xff\xfe'a  b'\x1b[1~\x1b[4~ c\r", "foo\r\na  b\r\nc\r\nviewer@hello> "},
		{"hist\t\r", "   1  foo 1\r\n   2  fooo\r\n   3  baz\r\n"},
		{pasteBegin + "foo 7\rfoo 8\r" + pasteEnd, "foo\r\n7\r\n"},
		{"", "foo\r\n8\r\nviewer@hello> "},
		{"boom\r", "error: boom: internal error; the log has the details\r\nviewer@hello> "},
	} {
		term.send(step.send)
		term.expect(step.expect)
	}
	if out := term.out.String(); strings.Contains(strings.ReplaceAll(out, "\r\n", ""), "\n") {
		t.Error("a line end without CR")
	}
	term.send("\x04")
	if status := term.wait(); status != 0 {
		t.Errorf("Ctrl-D: status %d", status)
	}
}

func TestInteractiveInterrupt(t *testing.T) {
	f := start(t, Config{})
	term := f.terminal("viewer", "look")
	term.send("wait\r")
	wait(t, "the command", f.started)
	term.send("foo typed ahead\r\x03")
	if cause := wait(t, "the cause", f.causes); errors.Is(cause, commandline.ErrHangup) {
		t.Errorf("cause %v", cause)
	}
	term.expect("^C\r\nviewer@hello> ")
	term.send("stuck\r")
	wait(t, "the command", f.started)
	term.send("\x03")
	term.expect("^C\r\n")
	term.send("\x03")
	term.expect("the command goes on in the background; see: job list\r\nviewer@hello> ")
	term.send("foo after\r")
	term.expect("foo\r\nafter\r\n")
	close(f.release)
	term.send(".exit\r")
	if status := term.wait(); status != 0 {
		t.Errorf("status %d", status)
	}
	if strings.Contains(term.out.String(), "foo\r\ntyped") {
		t.Error("what was typed ahead ran after a Ctrl-C")
	}
}

// A command with a terminal but without a shell: the client is raw, so the
// echo and the Ctrl-C are ours.
func TestExecTerminalInterrupt(t *testing.T) {
	f := start(t, Config{})
	term := f.openTerminal("viewer", "look", func(s *gossh.Session) error { return s.Start("baz") })
	term.expect("Give me a number: ")
	term.send("4\x03")
	term.expect("4^C\r\n")
	if status := term.wait(); status != 130 {
		t.Errorf("at a question: status %d", status)
	}
	term = f.openTerminal("viewer", "look", func(s *gossh.Session) error { return s.Start("wait") })
	wait(t, "the command", f.started)
	term.send("\x03")
	term.expect("^C\r\n")
	if status := term.wait(); status != 130 {
		t.Errorf("while it runs: status %d", status)
	}
	if out := term.out.String(); strings.Contains(out, "hello") {
		t.Errorf("a greeting or a prompt: %q", out)
	}
}

// TestHabits: clear and quit are there as in every shell, and give way to what
// the application calls so.
func TestHabits(t *testing.T) {
	f := start(t, Config{})
	f.users.set(users.User{Name: "viewer", Role: "viewer", Password: cheapHash("look"), Allow: []string{"worker info"}})
	term := f.terminal("viewer", "look")
	term.send("clear\r")
	term.expect("clear\r\n" + clearScreen + "viewer@hello> ")
	term.send("\x0c")
	term.expect(clearScreen)
	term.send("quit\r")
	if status := term.wait(); status != 0 {
		t.Errorf("quit: status %d", status)
	}
	own := func(name string) commands.Command {
		return commands.Command{Name: name, Role: commands.Viewer, Run: func(_ context.Context, c *commands.Call) error {
			c.Printf("own %s\n", c.Args[0])
			return nil
		}}
	}
	f = start(t, Config{Commands: []commands.Command{own("quit"), own("clear cache")}})
	term = f.terminal("viewer", "look")
	term.send("quit\r")
	term.expect("own quit\r\n")
	term.send("clear cache\r")
	term.expect("own clear cache\r\n")
	f.users.set(users.User{Name: "viewer", Role: "viewer", Password: cheapHash("look"), Allow: []string{"worker info"}})
	term.send("quit\r")
	term.expect("denied: quit is not one of the commands that you may run")
}

func TestD4_completion(t *testing.T) {
	f := start(t, Config{})
	term := f.terminal("viewer", "look")
	term.send("worker \t")
	term.expect("worker info   worker list\r\n")
	term.send("\t\t\x15wor\tl\t\r")
	term.expect("worker list")
	term.send("\x15shu\t\x15")
	term.send("exit\r")
	if status := term.wait(); status != 0 {
		t.Errorf("status %d", status)
	}
	if n := strings.Count(term.out.String(), "worker info   worker list"); n != 1 {
		t.Errorf("TAB TAB TAB lists %d times", n)
	}
	if strings.Contains(term.out.String(), "shut") {
		t.Error("a viewer was shown an admin's command")
	}
}

// Functions of the application that panic or end their goroutine cost their own
// command and nothing else.
func TestFunctionsThatDoNotReturn(t *testing.T) {
	ends := map[string]func(){"panic": func() { panic("oh") }, "goexit": runtime.Goexit}
	f := start(t, Config{Commands: []commands.Command{{
		Name: "pick", Role: commands.Viewer, Usage: "WORD",
		Complete: func(_ context.Context, _ *commands.Call, word string) ([]string, error) {
			ends[word]()
			return nil, nil
		},
		Run: func(_ context.Context, c *commands.Call) error { ends[c.Args[1]](); return nil },
	}}})
	term := f.terminal("viewer", "look")
	for word := range ends {
		term.send("pick " + word + "\t")
		term.send("\r")
		term.expect("pick: internal error; the log has the details\r\n")
	}
	term.send("exit\r")
	if status := term.wait(); status != 0 {
		t.Errorf("status %d", status)
	}
	if ended := f.audit.events(audit.EventEnd); len(ended) != 3 {
		t.Errorf("on the audit log: %+v", ended)
	}
}

// The words of a secret command are in no history and no audit log, also when
// they cannot be parsed; those of others are.
func TestSecretCommand(t *testing.T) {
	f := start(t, Config{Commands: []commands.Command{{
		Name: "token", Role: commands.Viewer, Secret: true,
		Run: func(_ context.Context, c *commands.Call) error { c.Printf("%d words\n", len(c.Args)); return nil },
	}}})
	term := f.terminal("viewer", "look")
	term.send("token hunter2\r")
	term.expect("2 words\r\n")
	term.send("token 'hunter2\r")
	term.expect("unclosed quote")
	term.send("history\r")
	term.expect("   1  history\r\n")
	term.send("exit\r")
	term.wait()
	if text := fmt.Sprintf("%+v", f.audit.all()); strings.Contains(text, "hunter2") || !strings.Contains(text, "token") {
		t.Error(text)
	}
}

func TestResize(t *testing.T) {
	f := start(t, Config{Commands: []commands.Command{widthCommand()}})
	term := f.terminal("viewer", "look")
	size := gossh.Marshal(struct{ Cols, Rows, X, Y uint32 }{132, 40, 0, 0})
	if ok, err := term.s.SendRequest("window-change", true, size); !ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	term.send("width\r")
	term.expect("132 columns")
	term.s.Close()
}

func TestIdle(t *testing.T) {
	f := start(t, Config{IdleTimeout: 50 * time.Millisecond})
	term := f.terminal("viewer", "look")
	term.expect("idle for 0.05 s, closing in 0.05 s. Press a key to stay.\r\n")
	term.expect("closed: idle\r\n")
	if status := term.wait(); status != 1 {
		t.Errorf("status %d", status)
	}
}

func TestStopAtThePrompt(t *testing.T) {
	f := start(t, Config{})
	term := f.terminal("viewer", "look")
	term.send("half a li")
	term.expect("half a li")
	f.cancel()
	term.expect(errStopping.Error() + "\r\n")
	if status := term.wait(); status != 1 {
		t.Errorf("status %d", status)
	}
}

func widthCommand() commands.Command {
	return commands.Command{Name: "width", Role: commands.Viewer, Run: func(_ context.Context, c *commands.Call) error {
		c.Printf("%d columns\n", c.Width)
		return nil
	}}
}
