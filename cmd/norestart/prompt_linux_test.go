package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/users"
)

// terminal is norestart running on a terminal of its own, with standard output
// elsewhere.
type terminal struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File // our end
	far  *os.File // its end, kept for its modes
	out  bytes.Buffer
	seen []byte
}

func startTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	ptm, pts, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, cmd: exec.CommandContext(t.Context(), "norestart", args...), tty: withDeadlines(t, ptm), far: pts}
	term.cmd.Stdin, term.cmd.Stderr, term.cmd.Stdout = pts, pts, &term.out
	term.cmd.Env = append(os.Environ(), "GORACE="+raceOptions)
	term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := term.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(term.tty.Close(), pts.Close()); err != nil {
			t.Error(err)
		}
	})
	return term
}

// withDeadlines replaces f, which was opened to block, by one that has deadlines.
func withDeadlines(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.Dup(int(f.Fd()))
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// expect reads until the terminal has shown text.
func (term *terminal) expect(text string) {
	term.t.Helper()
	if err := term.tty.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		term.t.Fatal(err)
	}
	for from := len(term.seen); !bytes.Contains(term.seen[from:], []byte(text)); {
		b := make([]byte, 1)
		if _, err := term.tty.Read(b); err != nil {
			term.t.Fatalf("wait for %q: %v; seen %q", text, err, term.seen)
		}
		term.seen = append(term.seen, b...)
	}
}

func (term *terminal) write(text string) {
	term.t.Helper()
	if _, err := term.tty.WriteString(text); err != nil {
		term.t.Fatal(err)
	}
}

// answer types a line once it is asked for and the echo is off: the prompt is
// shown before that.
func (term *terminal) answer(prompt, text string) {
	term.t.Helper()
	term.expect(prompt)
	term.awaitEcho(false)
	term.write(text + "\n")
}

func (term *terminal) awaitEcho(want bool) {
	term.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for term.echo() != want {
		if time.Now().After(deadline) {
			term.t.Fatalf("echo is still %v", !want)
		}
	}
}

func (term *terminal) echo() bool {
	term.t.Helper()
	modes, err := unix.IoctlGetTermios(int(term.far.Fd()), unix.TCGETS)
	if err != nil {
		term.t.Fatal(err)
	}
	return modes.Lflag&unix.ECHO != 0
}

func TestPromptTwice(t *testing.T) {
	term := startTerminal(t, "user", "hash")
	term.answer("Password: ", "my secret")
	term.answer("Again: ", "my secret")
	if err := term.cmd.Wait(); err != nil {
		t.Fatalf("%v; seen %q", err, term.seen)
	}
	hash, rest, _ := strings.Cut(term.out.String(), "\n")
	if ok, err := users.Verify(hash, "my secret"); !ok || err != nil || rest != "" {
		t.Errorf("standard output %q: %v, %v", term.out.String(), ok, err)
	}
	if bytes.Contains(term.seen, []byte("secret")) {
		t.Errorf("the password was shown: %q", term.seen)
	}
	if !term.echo() {
		t.Error("the echo stayed off")
	}
}

func TestPromptMismatch(t *testing.T) {
	term := startTerminal(t, "user", "hash")
	term.answer("Password: ", "my secret")
	term.answer("Again: ", "my secrte")
	term.expect("norestart: read password: the passwords differ")
	wantExit(t, term, 1)
}

func TestPromptEmpty(t *testing.T) {
	term := startTerminal(t, "user", "hash")
	term.answer("Password: ", "")
	term.expect("norestart: empty password")
	wantExit(t, term, 1)
}

// Ctrl-D.
func TestPromptEnd(t *testing.T) {
	term := startTerminal(t, "user", "hash")
	term.expect("Password: ")
	term.awaitEcho(false)
	term.write("\x04")
	term.expect("norestart: read password: end of input")
	wantExit(t, term, 1)
}

// After Ctrl-C and a signal from elsewhere nothing is done, and the echo is back.
func TestPromptSignals(t *testing.T) {
	for name, send := range map[string]func(*terminal) error{
		"Ctrl-C": func(term *terminal) error { term.write("\x03"); return nil },
		"TERM":   func(term *terminal) error { return term.cmd.Process.Signal(syscall.SIGTERM) },
		"HUP":    func(term *terminal) error { return term.cmd.Process.Signal(syscall.SIGHUP) },
	} {
		term := startTerminal(t, "user", "hash")
		term.expect("Password: ")
		term.awaitEcho(false)
		if err := send(term); err != nil {
			t.Fatal(err)
		}
		wantExit(t, term, commands.StatusCancelled)
		if !term.echo() {
			t.Errorf("%s: the echo stayed off", name)
		}
	}
}

// Ctrl-Z would hand a terminal to the shell, and get it back with its echo on.
func TestPromptIsNotSuspended(t *testing.T) {
	term := startTerminal(t, "user", "hash")
	term.expect("Password: ")
	term.awaitEcho(false)
	term.write("\x1a")
	term.write("my secret\n")
	term.answer("Again: ", "my secret")
	if err := term.cmd.Wait(); err != nil {
		t.Errorf("%v; seen %q", err, term.seen)
	}
}

// The rest of a line that is too long must not reach the shell.
func TestPromptTooLong(t *testing.T) {
	term := startTerminal(t, "user", "hash")
	term.answer("Password: ", strings.Repeat("x", users.MaxPassword+500))
	term.expect("norestart: read password: a password of more than 1 kB")
	wantExit(t, term, 1)
	if n, err := unix.IoctlGetInt(int(term.far.Fd()), unix.TIOCINQ); n != 0 || err != nil {
		t.Errorf("%d bytes are left, %v", n, err)
	}
	if !term.echo() {
		t.Error("the echo stayed off")
	}
}

func wantExit(t *testing.T, term *terminal, want int) {
	t.Helper()
	exit, ok := errors.AsType[*exec.ExitError](term.cmd.Wait())
	if !ok || exit.ExitCode() != want {
		t.Errorf("%v, want exit status %d; seen %q", exit, want, term.seen)
	}
	if term.out.Len() > 0 {
		t.Errorf("standard output %q", term.out.String())
	}
}
