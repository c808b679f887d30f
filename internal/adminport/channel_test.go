package adminport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/commandline"
)

// One pty-req whose string length is 0xFFFFFFFF: gliderlabs adds 4 to it in 32
// bits and the process dies (gliderlabs/ssh#262).
func TestE1_pty_length(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	ch, reqs, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go gossh.DiscardRequests(reqs)
	defer ch.Close()
	for _, payload := range [][]byte{
		bytes.Repeat([]byte{0xff}, 4), bytes.Repeat([]byte{0xff}, 40),
		{0xff, 0xff, 0xff, 0xfc, 0, 0, 0, 0},
		{},
		{0, 0, 0, 1},
	} {
		ok, err := ch.SendRequest("pty-req", true, payload)
		if ok || err != nil {
			t.Errorf("%x: %v %v, want it refused", payload, ok, err)
		}
	}
	if got := f.session(client, "foo", "", nil); got.Out != "foo\n" {
		t.Errorf("after it: %+v", got)
	}
}

// Forty window-change requests that nobody reads: the request loop of
// gliderlabs stops, and with it the whole connection.
func TestE2_window_storm(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	withPty(s)
	storm := func() {
		for i := range 40 {
			if err := s.WindowChange(10+i, 20+i); err != nil {
				t.Fatal(err)
			}
		}
	}
	storm() // also before the command starts
	if err := s.Start("wait"); err != nil {
		t.Fatal(err)
	}
	wait(t, "the command", f.started)
	storm()
	if got := f.session(client, "foo", "", nil); got.Out != "foo\n" {
		t.Errorf("second channel: %+v", got)
	}
	s.Close()
	wait(t, "the end of the command", f.causes)
}

// Three signals while the command does not look: gliderlabs holds the lock
// that Exit needs and the session never ends.
func TestE3_signal_flood(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("stuck"); err != nil {
		t.Fatal(err)
	}
	wait(t, "the command", f.started)
	for range 3 {
		err := s.Signal(gossh.SIGINT)
		if err != nil && !errors.Is(err, io.EOF) { // the session may have ended at the second
			t.Error(err)
		}
	}
	if got := f.session(client, "foo", "", nil); got.Out != "foo\n" {
		t.Errorf("second channel: %+v", got)
	}
	close(f.release)
	done := make(chan error, 1)
	go func() { done <- s.Wait() }()
	if status := exitStatus(t, wait(t, "the session", done)); status != 0 && status != 130 {
		t.Errorf("status %d", status)
	}
}

func TestSignalCancels(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("wait"); err != nil {
		t.Fatal(err)
	}
	wait(t, "the command", f.started)
	if err := s.Signal(gossh.SIGINT); err != nil {
		t.Fatal(err)
	}
	if cause := wait(t, "the cause", f.causes); errors.Is(cause, commandline.ErrHangup) {
		t.Errorf("cause %v, want the user's own wish", cause)
	}
	if status := exitStatus(t, s.Wait()); status != 130 {
		t.Errorf("status %d, want 130", status)
	}
}

// Thousands of env requests, each of 30 kB.
func TestE4_env_flood(t *testing.T) {
	f := start(t, Config{})
	s, err := f.dial(f.password("viewer", "look")).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, tt := range []struct {
		name, value string
		ok          bool
	}{
		{"LANG", "C", true},
		{"LC_ALL", "C", true},
		{"NO_COLOR", "1", true},
		{"LD_PRELOAD", "x.so", false},
		{"PATH", "/", false},
		{"LC_", "C", false},
		{"LANG", strings.Repeat("x", 30_000), false},
	} {
		if err := s.Setenv(tt.name, tt.value); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want ok %v", tt.name, err, tt.ok)
		}
	}
	for range maxEnv {
		_ = s.Setenv("LANG", "C")
	}
	if err := s.Setenv("LANG", "C"); err == nil {
		t.Error("one variable too many was taken")
	}
}

// A thousand channels on one connection.
func TestE5_channel_flood(t *testing.T) {
	f := start(t, Config{MaxSessions: 3})
	client := f.dial(f.password("viewer", "look"))
	for range 3 {
		if _, err := client.NewSession(); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		_, err := client.NewSession()
		refusal, ok := errors.AsType[*gossh.OpenChannelError](err)
		if !ok || refusal.Reason != gossh.ResourceShortage {
			t.Fatalf("one session too many: %v", err)
		}
	}
}

// Forwarding, agent, X11, subsystems: nothing that is not a command.
func TestE6_nothing_but_commands(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("admin", "secret"))
	if _, err := client.Dial("tcp", "127.0.0.1:22"); err == nil {
		t.Error("-L or -W was let through")
	}
	if _, err := client.Listen("tcp", "127.0.0.1:0"); err == nil {
		t.Error("-R was let through")
	}
	for _, kind := range []string{"x11", "auth-agent@openssh.com", "tun@openssh.com"} {
		if _, _, err := client.OpenChannel(kind, nil); err == nil {
			t.Errorf("a channel %s was opened", kind)
		}
	}
	ch, reqs, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go gossh.DiscardRequests(reqs)
	defer ch.Close()
	sftp := gossh.Marshal(struct{ Name string }{"sftp"})
	for _, req := range []string{"subsystem", "auth-agent-req@openssh.com", "x11-req", "break", "eow@openssh.com"} {
		if ok, err := ch.SendRequest(req, true, sftp); ok || err != nil {
			t.Errorf("%s: %v %v, want it refused", req, ok, err)
		}
	}
}

// Two sessions on one connection (ControlMaster), and one client is killed:
// its command must be told, while the connection lives on.
func TestE7_shared_connection(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("wait"); err != nil {
		t.Fatal(err)
	}
	wait(t, "the command", f.started)
	s.Close()
	if cause := wait(t, "the cause", f.causes); !errors.Is(cause, commandline.ErrHangup) {
		t.Errorf("cause %v, want a hang-up", cause)
	}
	if got := f.session(client, "foo", "", nil); got.Out != "foo\n" {
		t.Errorf("the other session: %+v", got)
	}
}

// A client that stops reading: the writer blocks, and closing the channel
// would not free it.
func TestE8_stopped_reader(t *testing.T) {
	f := start(t, Config{StallTimeout: 200 * time.Millisecond})
	client := f.dial(f.password("viewer", "look"))
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.StdoutPipe(); err != nil { // and never read
		t.Fatal(err)
	}
	if err := s.Start("spew"); err != nil {
		t.Fatal(err)
	}
	wait(t, "the command", f.started)
	wait(t, "the write to fail", f.causes)
	eventually(t, "the record", func() bool { return len(f.audit.events(audit.EventDropped)) == 1 })
	if got := f.audit.events(audit.EventDropped)[0]; got.Reason != "stalled reader" || got.User != "viewer" {
		t.Errorf("audit: %+v", got)
	}
}

// A peer that answers no keepalive is closed at the third.
func TestE9_half_open_peer(t *testing.T) {
	f := start(t, Config{KeepaliveInterval: 30 * time.Millisecond})
	conn := f.deafClient()
	ch, reqs, err := conn.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go gossh.DiscardRequests(reqs)
	done := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, ch); done <- err }()
	wait(t, "the end of the connection", done)
}

// deafClient is a client that never answers a global request.
func (f *fixture) deafClient() gossh.Conn {
	f.t.Helper()
	nc := f.tcp()
	conn, chans, reqs, err := gossh.NewClientConn(nc, f.addr, f.password("viewer", "look"))
	if err != nil {
		f.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range reqs {
		}
	}()
	go func() {
		for range chans {
		}
	}()
	f.t.Cleanup(func() { conn.Close(); <-done })
	return conn
}

func TestParsePty(t *testing.T) {
	payload := func(term string, cols, rows uint32) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(term)))
		b = binary.BigEndian.AppendUint32(append(b, term...), cols)
		return binary.BigEndian.AppendUint32(b, rows)
	}
	for _, tt := range []struct {
		name    string
		payload []byte
		want    ptyRequest
		ok      bool
	}{
		{"usual", payload("xterm", 100, 30), ptyRequest{"xterm", windowSize{100, 30}}, true},
		{"F4 unknown size", payload("xterm", 0, 0), ptyRequest{"xterm", windowSize{80, 24}}, true},
		{"F4 tiny", payload("", 1, 1), ptyRequest{"", windowSize{1, 1}}, true},
		{"F4 huge", payload("vt100", 1<<32-1, 1<<32-1), ptyRequest{"vt100", windowSize{500, 500}}, true},
		{"long name", payload(strings.Repeat("x", 65), 80, 24), ptyRequest{}, false},
		{"name with an escape", payload("x\x1b[2J", 80, 24), ptyRequest{}, false},
		{"no size", payload("xterm", 80, 24)[:12], ptyRequest{}, false},
	} {
		got, ok := parsePty(tt.payload)
		if !tt.ok {
			got = ptyRequest{}
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(ptyRequest{}, windowSize{})); diff != "" || ok != tt.ok {
			t.Errorf("%s: ok %v (-want +got):\n%s", tt.name, ok, diff)
		}
	}
}

func FuzzRequests(f *testing.F) {
	f.Add([]byte{0, 0, 0, 5, 'x', 't', 'e', 'r', 'm', 0, 0, 0, 80, 0, 0, 0, 24})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0, 4, 'L', 'A', 'N', 'G', 0, 0, 0, 1, 'C'})
	f.Fuzz(func(t *testing.T, p []byte) {
		if pty, ok := parsePty(p); ok {
			s := pty.size
			if s.cols < 1 || s.rows < 1 || s.cols > maxSide || s.rows > maxSide || len(pty.term) > maxTerm {
				t.Errorf("%x: %+v", p, pty)
			}
		}
		if s, rest, ok := takeString(p); ok && len(s)+len(rest)+4 != len(p) {
			t.Errorf("%x: %q and %x", p, s, rest)
		}
		allowedEnv(p)
	})
}
