package adminport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/users"
)

// D1: somebody runs what his role may not, by one of the ways in: a command, a
// script, a terminal, the TLS line shell. Every command that there is, as every
// role, in every way, comes to the same end; --help keeps the allowed ones from
// doing anything.
func TestD1_every_way_in(t *testing.T) {
	f := start(t, Config{})
	f.users.set(users.User{Name: "otto", Role: "operator", Password: cheapHash("operate")})
	for _, who := range []struct {
		name, password string
		role           commands.Role
	}{{"viewer", "look", commands.Viewer}, {"otto", "operate", commands.Operator}, {"admin", "secret", commands.Admin}} {
		client := f.dial(f.password(who.name, who.password))
		term := f.terminal(who.name, who.password)
		f.srv.cfg.TLSUser = who.name
		line := f.tls()
		line.send(who.password + "\n")
		line.expect("Password: " + tlsGreeting)
		for _, c := range f.srv.registry.Visible(commands.Admin) {
			want, text := 0, c.Name+" --help"
			denial := fmt.Sprintf("error: denied: %s needs role %s, you are %s", c.Name, c.Role, who.role)
			if who.role < c.Role {
				want = commands.StatusDenied
			}
			before := len(f.audit.events(audit.EventDenied))
			exec, script := f.session(client, text, "", nil), f.session(client, "", text+"\n", nil)
			term.send(text + "\r")
			line.send(text + "\n")
			switch {
			case want != 0:
				term.expect(denial)
				line.expect(denial + "\n> ")
			case c.Name == "?": // at a terminal it is a key, and the rest is no command
				term.expect("unknown command")
				line.until("\n> ")
			default:
				term.expect(c.Summary)
				line.until("\n> ")
			}
			term.expect(who.name + "@hello> ")
			if exec.Status != want || script.Status != want {
				t.Errorf("%s as %s: status %d and %d, want %d", text, who.name, exec.Status, script.Status, want)
			}
			if got := len(f.audit.events(audit.EventDenied)) - before; got != 4*min(want, 1) {
				t.Errorf("%s as %s: %d records of a denial", text, who.name, got)
			}
		}
	}
}

// D3: somebody hides a command from the check: in quotes, behind a separator of
// shells, behind a line break or a zero byte, in letters that look alike. What is
// checked is the command that would run, and nothing goes to a shell.
func TestD3_confused_paths(t *testing.T) {
	ran := false
	f := start(t, Config{Commands: []commands.Command{{Name: "secret", Role: commands.Admin, Run: func(context.Context, *commands.Call) error {
		ran = true
		return nil
	}}}})
	client := f.dial(f.password("viewer", "look"))
	for line, want := range map[string]int{
		"secret": 77, `s"ecre"t`: 77, `sec\ret`: 77, "'secret'": 77, " \tsecret": 77,
		"secret;": 127, "foo; secret": 127, "foo && secret": 0, "foo | secret": 2, "foo $(secret)": 0, "foo `secret`": 0,
		"foo\nsecret": 2, "foo\x00secret": 2, "foo\rsecret": 2, "secre": 127, "Secret": 127, "ѕecret": 127, "secret\u200b": 127,
		"foo > secret": 0, "$(secret)": 127, "--help secret": 127, "help secret": 77,
	} {
		if got := f.session(client, line, "", nil); got.Status != want {
			t.Errorf("%q: status %d, want %d: %+v", line, got.Status, want, got)
		}
	}
	if ran {
		t.Error("the command ran")
	}
}

// E10: many clients with many commands at a time: no output is lost or mixed up,
// each status is its own, and nothing is left of the sessions.
func TestE10_parallel_exec(t *testing.T) {
	f := start(t, Config{MaxPerSource: 32})
	const clients, each = 16, 20
	var all sync.WaitGroup
	for n := range clients {
		client := f.dial(f.password("viewer", "look"))
		all.Go(func() {
			for i := range each {
				if err := execOnce(client, fmt.Sprintf("foo %d-%d", n, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	eventually(t, "the end of all sessions", func() bool { return len(f.srv.sessionList()) == 0 })
	if got := len(f.audit.events(audit.EventEnd)); got != clients*each {
		t.Errorf("%d records, want %d", got, clients*each)
	}
}

func execOnce(client *gossh.Client, line string) error {
	s, err := client.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	out, err := s.Output(line)
	if want := strings.ReplaceAll(line, " ", "\n") + "\n"; err == nil && string(out) != want {
		err = fmt.Errorf("%q, want %q", out, want)
	}
	return err
}

// E12: what a command ended with is what the client's caller sees, and 255, which
// is the client's own word for a broken connection, never comes from a command.
func TestE12_exit_status(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	for status, want := range map[int]int{0: 1, 1: 1, 2: 2, 77: 77, 124: 124, 127: 127, 130: 130, 255: 1, 256: 1, -1: 1} {
		line := fmt.Sprintf("fail %d", status) // an error with status 0 is one all the same
		if got := f.session(client, line, "", nil).Status; got != want {
			t.Errorf("%s: %d, want %d", line, got, want)
		}
		if got := f.session(client, "", line+"\n", nil).Status; got != want {
			t.Errorf("%s in a script: %d, want %d", line, got, want)
		}
		if got := f.session(client, line, "", withPty).Status; got != want {
			t.Errorf("%s with a terminal: %d, want %d", line, got, want)
		}
	}
}

// E11: a command panics, in each of the ways in. Its user is told in one line,
// the log has the stack, and the next command runs.
func TestE11_panic(t *testing.T) {
	f := start(t, Config{Commands: []commands.Command{{Name: "rude", Role: commands.Viewer, Run: func(context.Context, *commands.Call) error {
		return rudeError{} // one whose text panics
	}}}})
	client := f.dial(f.password("viewer", "look"))
	for _, name := range []string{"boom", "rude"} {
		want := "error: " + name + ": internal error; the log has the details\n"
		if got := f.session(client, name, "", nil); got.Status != 1 || got.Err != want {
			t.Errorf("exec: %+v", got)
		}
		if got := f.session(client, "", name+"\n", nil); got.Status != 1 || !strings.Contains(got.Err, want) {
			t.Errorf("script: %+v", got)
		}
	}
	if got := f.session(client, "foo", "", nil); got.Status != 0 {
		t.Errorf("after it: %+v", got)
	}
	if !strings.Contains(f.logs.String(), "after_login_test.go") {
		t.Errorf("no stack in the log:\n%s", f.logs)
	}
}

type rudeError struct{}

func (rudeError) Error() string { panic(errors.New("rude")) }

// F6: bytes that are no text, and zero bytes, in each of the ways in. They are
// refused by name, never changed into something that runs.
func TestF6_bytes_that_are_no_text(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	for text, want := range map[string]string{
		"foo \xff": "invalid UTF-8 at column 5", "foo \x00": "at column 5", "foo \x1b[2J": "at column 5",
		"\xc0\xaf": "invalid UTF-8 at column 1", "foo '\u0085'": "at column 6",
	} {
		if got := f.session(client, text, "", nil); got.Status != 2 || got.Out != "" || !strings.Contains(got.Err, want) {
			t.Errorf("exec %q: %+v, want %q", text, got, want)
		}
		if got := f.session(client, "", text+"\n", nil); got.Status != 2 || got.Out != "" || !strings.Contains(got.Err, want) {
			t.Errorf("script %q: %+v, want %q", text, got, want)
		}
	}
	for _, r := range f.audit.events(audit.EventInvalid) {
		if strings.ContainsAny(r.Line, "\x00\x1b") || strings.Contains(r.Line, "\xff") {
			t.Errorf("raw on the audit log: %q", r.Line)
		}
	}
}
