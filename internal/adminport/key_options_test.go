package adminport

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

// withKey is a client configuration that logs in by signer.
func (f *fixture) withKey(user string, signer gossh.Signer) *gossh.ClientConfig {
	cfg := f.password(user, "")
	cfg.Auth = []gossh.AuthMethod{gossh.PublicKeys(signer)}
	return cfg
}

// A stolen key is used from elsewhere, after its time, for a terminal or for
// another command than the one that it was given for. Its options must hold, of
// several lines with the same key those of the first that fits, and a line that
// is not understood must open nothing.
func TestC4_key_options(t *testing.T) {
	f := start(t, Config{})
	for _, tt := range []struct {
		name    string
		options []string // of a line each
		login   bool
		pty     bool
	}{
		{"none", []string{""}, true, true},
		{"from here", []string{`from="127.0.0.0/8"`}, true, true},
		{"from elsewhere", []string{`from="10.0.0.0/8"`}, false, false},
		{"from everywhere but here", []string{`from="*,!127.0.0.1"`}, false, false},
		{"expired", []string{`expiry-time="20200101"`}, false, false},
		{"not yet expired", []string{`expiry-time="29990101Z"`}, true, true},
		{"no-pty", []string{"no-pty"}, true, false},
		{"restrict", []string{"restrict"}, true, false},
		{"restrict,pty", []string{"restrict,pty"}, true, true},
		{"harmless", []string{"no-agent-forwarding,no-X11-forwarding,no-port-forwarding,no-user-rc"}, true, true},
		{"not understood", []string{"frobnicate"}, false, false},
		{"cannot be checked", []string{"verify-required"}, false, false},
		{"half", []string{`from="127.0.0.1`}, false, false},
		{"the second line fits", []string{`from="10.0.0.0/8"`, "no-pty"}, true, false},
		{"the first line that fits counts", []string{"no-pty", ""}, true, false},
		{"one that is not understood beside one that is", []string{"frobnicate", "no-pty"}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			signer := newSigner(t)
			u := users.User{Name: "carla", Role: "viewer"}
			for _, options := range tt.options {
				u.Keys = append(u.Keys, strings.TrimSpace(options+" "+authorizedKey(signer)+" carla"))
			}
			f.users.set(u)
			f.forgive()
			client, err := gossh.Dial("tcp", f.addr, f.withKey("carla", signer))
			if (err == nil) != tt.login {
				t.Fatalf("login: %v, want %v", err, tt.login)
			}
			if err != nil {
				return
			}
			defer client.Close()
			s, err := client.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.RequestPty("xterm", 24, 80, gossh.TerminalModes{}); (err == nil) != tt.pty {
				t.Errorf("terminal: %v, want %v", err, tt.pty)
			}
		})
	}
}

// A key that has been offered and found good is taken away, or limited, before
// its owner signs: what counts is what holds when he has signed.
func TestC4_key_is_looked_at_again(t *testing.T) {
	f := start(t, Config{})
	signer := newSigner(t)
	with := func(options string) {
		f.users.set(users.User{Name: "carla", Role: "viewer", Keys: []string{strings.TrimSpace(options + " " + authorizedKey(signer))}})
	}
	with("")
	slow := &lateSigner{Signer: signer, before: func() { with(`from="10.0.0.0/8"`) }}
	if err := f.try(f.withKey("carla", slow)); err == nil {
		t.Error("logged in by a line that was replaced")
	}
	if !slow.asked {
		t.Error("the key was not even offered")
	}
}

// lateSigner does something before it signs.
type lateSigner struct {
	gossh.Signer
	before func()
	asked  bool
}

func (l *lateSigner) Sign(rand io.Reader, data []byte) (*gossh.Signature, error) {
	l.asked = true
	l.before()
	return l.Signer.Sign(rand, data)
}

// Someone stays logged in while his key expires, is moved to another address or
// gets a forced command. The session must end within a second.
func TestC4_options_end_sessions(t *testing.T) {
	for _, options := range []string{`expiry-time="20200101"`, `from="10.0.0.0/8"`, `command="foo"`, "no-pty", "frobnicate"} {
		t.Run(options, func(t *testing.T) {
			f := start(t, Config{})
			line := authorizedKey(f.viola)
			client := f.dial(f.withKey("viola", f.viola))
			done := make(chan result, 1)
			go func() { done <- f.session(client, "wait", "", nil) }()
			wait(t, "the command", f.started)
			f.users.set(users.User{Name: "viola", Role: "operator", Keys: []string{options + " " + line}})
			got := wait(t, "the end", done)
			if got.Status == 0 || !strings.Contains(got.Err, errRevoked.Error()) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// The password by which somebody came in is changed, because it leaked: his
// sessions end with it.
func TestC10_changed_password(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	done := make(chan result, 1)
	go func() { done <- f.session(client, "wait", "", nil) }()
	wait(t, "the command", f.started)
	f.users.set(users.User{Name: "viewer", Role: "viewer", Password: cheapHash("other")})
	if got := wait(t, "the end", done); !strings.Contains(got.Err, errRevoked.Error()) {
		t.Errorf("%+v", got)
	}
}

// A key that may only run one command is used for another: by exec, by a shell
// with and without a terminal, as a subsystem, and on a second channel. Always
// that command runs; the other is in the audit log and nowhere else.
func TestD2_forced_command(t *testing.T) {
	f := start(t, Config{})
	f.users.set(users.User{Name: "carla", Role: "viewer", Keys: []string{`command="foo \"a b\"" ` + authorizedKey(f.viola)}})
	client := f.dial(f.withKey("carla", f.viola))
	want := result{Out: "foo\na b\n"}
	crlf := result{Out: "foo\r\na b\r\n"}
	for _, tt := range []struct {
		name, command, stdin string
		setup                func(*gossh.Session)
		want                 result
		asked                string
	}{
		{"exec", "boom", "", nil, want, `"exec boom"`},
		{"exec of nothing", " ", "", nil, want, `"exec  "`},
		{"exec with a terminal", "boom; boom", "", withPty, crlf, `"exec boom; boom"`},
		{"shell", "", "", nil, want, `"shell"`},
		{"shell with a terminal", "", "", withPty, crlf, `"shell"`},
		{"exec with escapes", "a\x1b[2J\nb", "", nil, want, `"exec a\x1b[2J\nb"`},
	} {
		before := len(f.audit.events(audit.EventStart))
		got := f.session(client, tt.command, tt.stdin, tt.setup)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		starts := f.audit.events(audit.EventStart)[before:]
		if len(starts) != 1 || starts[0].Asked != tt.asked || strings.Join(starts[0].Argv, "|") != "foo|a b" {
			t.Errorf("%s: audit %+v", tt.name, starts)
		}
	}
	f.subsystem(t, client)
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Start(strings.Repeat("x", maxCommand+1)); err == nil {
		t.Error("a command that is too long was taken")
	}
}

// subsystem asks for one and wants the forced command.
func (f *fixture) subsystem(t *testing.T, client *gossh.Client) {
	t.Helper()
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestSubsystem("sftp"); err != nil {
		t.Fatalf("subsystem: %v", err)
	}
	if got, err := io.ReadAll(out); err != nil || string(got) != "foo\na b\n" {
		t.Errorf("subsystem: %q, %v", got, err)
	}
	starts := f.audit.events(audit.EventStart)
	if last := starts[len(starts)-1]; last.Asked != `"subsystem sftp"` || last.Argv[0] != "foo" {
		t.Errorf("audit %+v", last)
	}
}
