package adminport

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/commandline"
)

// tcp opens a connection that says nothing.
func (f *fixture) tcp() net.Conn {
	f.t.Helper()
	nc, err := net.DialTimeout("tcp", f.addr, within)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(5 * within)); err != nil {
		f.t.Fatal(err)
	}
	return nc
}

func TestNewRefuses(t *testing.T) {
	good := Host{
		HostKey: hostKey(newSigner(t)), Audit: (&auditLog{}).append,
		Control: func(string) control.Control { return fakeControl{} },
	}
	for _, tt := range []struct {
		want   string
		change func(*Config, *Host)
	}{
		{"no host key", func(_ *Config, h *Host) { h.HostKey = nil }},
		{"no control", func(_ *Config, h *Host) { h.Control = nil }},
		{"no audit log", func(_ *Config, h *Host) { h.Audit = nil }},
		{"norestart user hash", func(c *Config, _ *Host) { c.PasswordHash = "secret" }},
		{"role", func(c *Config, _ *Host) { c.Commands = []commands.Command{{Name: "x"}} }},
	} {
		cfg, host := Config{}, good
		tt.change(&cfg, &host)
		if _, err := New(cfg, host); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
	}
	srv, err := New(Config{}, good)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := srv.gate.lookup("admin"); ok {
		t.Error("the zero configuration knows an admin")
	}
}

// A connection that says nothing, or says it slowly, lives no longer than the
// hello clock. gliderlabs: for ever.
func TestB1_silent_connection(t *testing.T) {
	f := start(t, Config{HelloTimeout: 100 * time.Millisecond})
	nc := f.tcp()
	if _, err := io.Copy(io.Discard, nc); err != nil && !isReset(err) {
		t.Errorf("not closed by the server: %v", err)
	}
	eventually(t, "the record", func() bool { return len(f.audit.events(audit.EventRefused)) == 1 })
	if got := f.audit.events(audit.EventRefused)[0].Reason; got != errHelloTimeout.Error() {
		t.Errorf("reason %q", got)
	}
}

func isReset(err error) bool { _, ok := errors.AsType[*net.OpError](err); return ok && !isTimeout(err) }

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// A client that stops after its version is ended by the login clock, which no
// byte moves.
func TestB2_slow_handshake(t *testing.T) {
	f := start(t, Config{LoginTimeout: 150 * time.Millisecond})
	nc := f.tcp()
	if _, err := io.WriteString(nc, "SSH-2.0-slow\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, nc); err != nil && !isReset(err) {
		t.Errorf("not closed by the server: %v", err)
	}
	eventually(t, "the record", func() bool { return len(f.audit.events(audit.EventRefused)) == 1 })
	if got := f.audit.events(audit.EventRefused)[0].Reason; got != errLoginTimeout.Error() {
		t.Errorf("reason %q", got)
	}
}

func TestA9_cross_protocol(t *testing.T) {
	f := start(t, Config{})
	for _, hello := range []string{"GET / HTTP/1.0\r\n\r\n", "\x80\x2e\x01", "\x00", "ssh"} {
		nc := f.tcp()
		if _, err := io.WriteString(nc, hello); err != nil {
			t.Fatal(err)
		}
		back, err := io.ReadAll(nc)
		if len(back) > 0 || err != nil && !isReset(err) {
			t.Errorf("%q: %q, %v, want a close and nothing else", hello, back, err)
		}
	}
	if got := len(f.audit.events(audit.EventRefused)); got != 1 {
		t.Errorf("%d records, want one a minute", got)
	}
}

// A client that waits for the server's version, as ssh-keyscan does, gets it.
func TestSilentClientGetsSSH(t *testing.T) {
	f := start(t, Config{})
	nc := f.tcp()
	buf := make([]byte, 8)
	if _, err := io.ReadFull(nc, buf); err != nil || string(buf) != "SSH-2.0-" {
		t.Errorf("%q, %v", buf, err)
	}
}

func TestNoSession(t *testing.T) {
	f := start(t, Config{NoChannelTimeout: 50 * time.Millisecond})
	done := make(chan error, 2)
	go func() { done <- f.dial(f.password("viewer", "look")).Wait() }()
	wait(t, "the end of a connection without a session", done)
	client := f.dial(f.password("viewer", "look"))
	ch, reqs, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go gossh.DiscardRequests(reqs)
	go func() { _, err := io.Copy(io.Discard, ch); done <- err }()
	wait(t, "the end of a channel without a request", done)
}

// A removed user's sessions end within a second, with a reason.
func TestC10_revocation(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	cfg := f.password("viola", "")
	cfg.Auth = []gossh.AuthMethod{gossh.PublicKeys(f.viola)}
	byKey := f.dial(cfg)
	results := make(chan result, 2)
	for _, c := range []*gossh.Client{client, byKey} {
		go func() { results <- f.session(c, "wait", "", nil) }()
		wait(t, "the command", f.started)
	}
	viola, _ := f.users.Lookup("viola")
	viola.Keys = []string{authorizedKey(newSigner(t))} // only her key is replaced
	f.users.set(viola)
	f.users.remove("viewer")
	told := map[string]bool{}
	for range 2 {
		told[wait(t, "the end of the session", results).Err] = true
	}
	for _, want := range []string{"the user was removed", "the key was removed"} {
		if !told[errRevoked.Error()+": "+want+"\n"] {
			t.Errorf("%v, want %q", told, want)
		}
	}
	if got := f.session(client, "foo", "", nil); got.Out != "" || got.Status != 77 {
		t.Errorf("a command of a removed user: %+v", got)
	}
}

// Somebody lost his role, or got another, while he was logged in.
func TestD6_role_is_looked_up_again(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	if got := f.session(client, "shut", "", nil).Status; got != 77 {
		t.Errorf("viewer: status %d, want 77", got)
	}
	viewer, _ := f.users.Lookup("viewer")
	viewer.Role = "admin"
	f.users.set(viewer)
	if got := f.session(client, "shut", "", nil).Status; got != 0 {
		t.Errorf("now admin: status %d, want 0", got)
	}
}

func TestAudit(t *testing.T) {
	f := start(t, Config{})
	f.users.remove("viola") // has no part in it
	client := f.dial(f.password("viewer", "look"))
	f.session(client, "foo 'a b'", "", nil)
	f.session(client, "shut", "", nil)
	f.session(client, "fooo", "", nil)
	f.session(client, "fail 2", "", nil)
	var got []string
	for _, r := range f.audit.all() {
		status := "-"
		if r.Status != nil {
			status = string(rune('0' + *r.Status%10))
		}
		got = append(got, strings.Join([]string{string(r.Event), r.User, r.Role, strings.Join(r.Argv, ","), r.Line, status}, "|"))
		if r.Event != audit.EventLogin && (r.Session == "" || !strings.HasPrefix(r.From, "127.0.0.1:")) {
			t.Errorf("who was it? %+v", r)
		}
	}
	want := []string{
		"login|viewer|viewer|||-",
		"start|viewer|viewer|foo,a b||-", "end|viewer|viewer|foo,a b||0",
		"denied|viewer|viewer|shut||7",
		`invalid|viewer|viewer||"fooo"|7`,
		"start|viewer|viewer|fail,2||-", "end|viewer|viewer|fail,2||2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Without an audit log what only an admin may do is not done.
func TestG7_fail_closed(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("admin", "secret"))
	f.audit.setBroken(true)
	got := f.session(client, "shut", "", nil)
	if got.Status != 1 || got.Out != "" || !strings.Contains(got.Err, "audit log") {
		t.Errorf("admin command: %+v", got)
	}
	if got := f.session(client, "foo", "", nil); got.Out != "foo\n" {
		t.Errorf("viewer command: %+v", got)
	}
	call := newCall("shut")
	f.local <- call
	if status := wait(t, "the local call", call.exit); status != 0 || !strings.Contains(call.err.String(), "warning") {
		t.Errorf("local: status %d, %q", status, call.err.String())
	}
}

// A replaced shell worker accepts no more and keeps what it has.
func TestDraining(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	done := make(chan result, 1)
	go func() { done <- f.session(client, "baz", "21\n", nil) }()
	wait(t, "the session", done)
	close(f.draining)
	eventually(t, "the port to close", f.portClosed)
	if got := f.session(client, "foo", "", nil); got.Out != "foo\n" {
		t.Errorf("a kept session: %+v", got)
	}
	client.Close()
	if err := wait(t, "Serve", f.served); err != nil {
		t.Error(err)
	}
	f.served <- nil // for stop
}

func (f *fixture) portClosed() bool {
	nc, err := net.Dial("tcp", f.addr)
	if err == nil {
		nc.Close()
	}
	return err != nil
}

func TestStopTellsSessions(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	results := make(chan result, 2)
	go func() { results <- f.session(client, "wait", "", nil) }()
	wait(t, "the command", f.started)
	go func() {
		results <- f.session(client, "", "", func(s *gossh.Session) {
			s.Stdin = nil
			if _, err := s.StdinPipe(); err != nil {
				panic(err)
			}
			f.started <- "script"
		})
	}()
	wait(t, "the script", f.started)
	eventually(t, "two sessions", func() bool { return len(f.srv.sessionList()) == 2 })
	f.cancel()
	for range 2 {
		if got := wait(t, "the end", results); got.Err != errStopping.Error()+"\n" {
			t.Errorf("%+v", got)
		}
	}
	if cause := wait(t, "the cause", f.causes); !errors.Is(cause, commandline.ErrShellEnds) {
		t.Errorf("cause %v, want %v", cause, commandline.ErrShellEnds)
	}
}

// failingListener fails as a process without descriptors does, then works.
type failingListener struct {
	net.Listener
	failures int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, errors.New("accept4: too many open files")
	}
	return l.Listener.Accept()
}

func TestG3_out_of_descriptors(t *testing.T) {
	f := start(t, Config{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := New(f.srv.cfg, Host{
		HostKey: f.srv.host.HostKey, Users: f.users, Audit: f.audit.append,
		Control: f.srv.host.Control, Log: f.srv.host.Log,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, &failingListener{ln, 3}, nil) }()
	client, err := gossh.Dial("tcp", ln.Addr().String(), f.password("viewer", "look"))
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	cancel()
	if err := wait(t, "Serve", served); err != nil {
		t.Error(err)
	}
	if !strings.Contains(f.logs.String(), "too many open files") {
		t.Error("the failure is not in the log")
	}
}
