package adminport

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/sessions"
)

// ask puts a question of the session commands to the server.
func ask[T any](f *fixture, handler string, args ...string) T {
	f.t.Helper()
	text, err := f.srv.Handlers()[handler](f.t.Context(), args)
	if err != nil {
		f.t.Fatal(err)
	}
	var answer T
	if err := json.Unmarshal(text, &answer); err != nil {
		f.t.Fatal(err)
	}
	return answer
}

// A session that an operator ends is told by whom; its connection, with which
// another session could be opened without a login, goes with it.
func TestSessionEnd(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var errOut lockedBuffer
	s.Stderr = &errOut
	if err := s.Start("wait 'a b'"); err != nil {
		t.Fatal(err)
	}
	wait(t, "the command", f.started)
	list := ask[[]sessions.Session](f, sessions.HandlerList)
	if len(list) != 1 || list[0].User != "viewer" || list[0].Role != "viewer" || list[0].Command != "wait a b" {
		t.Fatalf("sessions %+v", list)
	}
	if n := ask[int](f, sessions.HandlerEnd, "00000000", "admin"); n != 0 {
		t.Errorf("%d sessions with a wrong id", n)
	}
	if n := ask[int](f, sessions.HandlerEnd, list[0].ID, "admin\n"); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	if cause := wait(t, "the command", f.causes); cause != commandline.ErrHangup {
		t.Errorf("the command ended by %v, which would cancel its job", cause)
	}
	if status := exitStatus(t, s.Wait()); status != commands.StatusCancelled || errOut.String() != "ended by admin\\n\n" {
		t.Errorf("status %d, %q", status, errOut.String())
	}
	closed := make(chan error, 1)
	go func() { closed <- client.Wait() }()
	wait(t, "the end of the connection", closed)
	if got := f.audit.events(audit.EventDropped); len(got) != 1 || got[0].User != "viewer" {
		t.Errorf("dropped: %+v", got)
	}
}

// An operator lets sources in again, by any address of them.
func TestUnblock(t *testing.T) {
	l := newLimits(10, 10, 25)
	for _, text := range []string{"192.0.2.66", "2001:db8::1"} {
		penalizeTimes(t, l, text, 4)
		if _, err := l.admit(&net.TCPAddr{IP: net.ParseIP(text)}); err != errPenalty {
			t.Errorf("%s: %v", text, err)
		}
	}
	f := &fixture{t: t, srv: &Server{gate: &gate{limits: l}}}
	for _, text := range []string{"192.0.2.66", "2001:db8::/64"} {
		if n := ask[int](f, sessions.HandlerUnblock, text); n != 1 {
			t.Errorf("%s: %d unblocked", text, n)
		}
		if n := ask[int](f, sessions.HandlerUnblock, text); n != 0 {
			t.Errorf("%s: unblocked twice", text)
		}
	}
	if _, err := l.admit(&net.TCPAddr{IP: net.ParseIP("2001:db8::2")}); err != nil {
		t.Errorf("after unblock: %v", err)
	}
}

// The user whose name was used by others is told at the next prompt, once.
func TestFailedLoginsAreTold(t *testing.T) {
	f := start(t, Config{})
	for range 2 {
		if _, err := gossh.Dial("tcp", f.addr, f.password("viewer", "wrong")); err == nil {
			t.Fatal("a wrong password is good")
		}
	}
	greeting := f.srv.greeting(t.Context(), "viewer")
	if want := "\n2 failed logins as viewer since you were last told, the last at "; !strings.Contains(greeting, want) || !strings.Contains(greeting, " from 127.0.0.1:") {
		t.Errorf("greeting %q", greeting)
	}
	if again := f.srv.greeting(t.Context(), "viewer"); strings.Contains(again, "failed") {
		t.Errorf("told twice: %q", again)
	}
}

// Sessions are told once that a newer process knows other commands: those that
// there are and those that are opened until they are the same again.
func TestOutdated(t *testing.T) {
	f := start(t, Config{})
	same, other := f.srv.Commands(), "another"
	newer := func(digest string) {
		if _, err := f.srv.Handlers()[sessions.HandlerCommands](t.Context(), []string{digest}); err != nil {
			t.Fatal(err)
		}
	}
	told := outdated + "\n"
	newer(same)
	c := f.tls()
	c.send("secret\n")
	c.expect("Password: " + tlsGreeting)
	newer(other)
	c.send("foo 1\n")
	c.expect("foo\n1\n" + told + "> ")
	newer(other)
	c.send("foo 2\n")
	c.expect("foo\n2\n> ")

	script := func() result { return f.session(f.dial(f.password("viewer", "look")), "", "foo 3\nfoo 4\n", nil) }
	if got := script(); got.Err != told {
		t.Errorf("a script that began later: %+v", got)
	}
	newer(same)
	if got := script(); got.Err != "" {
		t.Errorf("with the same commands again: %+v", got)
	}
}
