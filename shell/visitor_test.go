package shell

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
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
	list := ask[[]commands.SessionInfo](f, commands.HandlerSessions)
	if len(list) != 1 || list[0].User != "viewer" || list[0].Role != "viewer" || list[0].Command != "wait a b" {
		t.Fatalf("sessions %+v", list)
	}
	if n := ask[int](f, commands.HandlerEnd, "00000000", "admin"); n != 0 {
		t.Errorf("%d sessions with a wrong id", n)
	}
	if n := ask[int](f, commands.HandlerEnd, list[0].ID, "admin\n"); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	if cause := wait(t, "the command", f.causes); cause != commands.ErrHangup {
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

// A new process takes over what the one before held against sources.
func TestBlocksAreHandedOn(t *testing.T) {
	old, next := newLimits(10, 10), newLimits(10, 10)
	for _, text := range []string{"192.0.2.66", "2001:db8::1"} {
		s, err := old.admit(&net.TCPAddr{IP: net.ParseIP(text)})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			s.tried(fmt.Sprint("user", i))
			s.penalize(penaltyAuthFail)
		}
		s.release()
	}
	srv := &Server{limits: next}
	srv.Block(old.blocked())
	for _, text := range []string{"192.0.2.66", "2001:db8::2"} {
		if _, err := next.admit(&net.TCPAddr{IP: net.ParseIP(text)}); err != errPenalty {
			t.Errorf("%s: %v", text, err)
		}
	}
	got := next.blocked()
	if len(got) != 2 || got[0].Failed != 6 || len(got[0].Users) != maxTried {
		t.Errorf("blocked: %+v", got)
	}
	srv.Block([]commands.BlockedInfo{{Source: "nonsense"}, {Source: "192.0.2.1", Until: time.Now().Add(time.Hour)}})
	if left := time.Until(next.sources[prefixOf(netip.MustParseAddr("192.0.2.1"))].penalty); left > penaltyMax {
		t.Errorf("blocked for %s", left)
	}
	f := &fixture{t: t, srv: srv}
	for _, text := range []string{"192.0.2.66", "2001:db8::/64"} {
		if n := ask[int](f, commands.HandlerUnblock, text); n != 1 {
			t.Errorf("%s: %d unblocked", text, n)
		}
		if n := ask[int](f, commands.HandlerUnblock, text); n != 0 {
			t.Errorf("%s: unblocked twice", text)
		}
	}
	if _, err := next.admit(&net.TCPAddr{IP: net.ParseIP("2001:db8::2")}); err != nil {
		t.Errorf("after unblock: %v", err)
	}
}

// Whose name was used by others is told at his next prompt, once.
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
