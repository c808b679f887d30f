package adminport

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/commandline"
)

// What is held is bounded for a session, a user and all users, and the one that
// holds most loses it.
func TestIntakes(t *testing.T) {
	all := newIntakes()
	fill := func(user string, size int) *intake {
		in := all.of(user, func() {})
		in.put(bytes.Repeat([]byte("x"), size), nil)
		return in
	}
	check := func(what string, in *intake, want error) {
		t.Helper()
		if !errors.Is(in.err, want) {
			t.Errorf("%s: %v, want %v", what, in.err, want)
		}
	}
	check("a session", fill("viola", maxAhead), nil)
	check("a session with too much", fill("vera", maxAhead+1), errAhead)
	small := fill("viola", maxAhead/2)
	big := fill("viola", maxAhead-1)
	fill("viola", maxAhead-2)
	late := fill("viola", maxAhead)
	if all.users["viola"] > maxUserAhead || all.all != all.users["viola"] {
		t.Errorf("%d of viola, %d in all", all.users["viola"], all.all)
	}
	check("the smallest of a user with too much", small, nil)
	check("a smaller one", big, nil)
	own := fill("admin", 100)
	for _, user := range []string{"a", "b", "c", "d", "e"} {
		for range 4 {
			fill(user, maxAhead)
		}
	}
	if all.all > maxAllAhead {
		t.Errorf("%d bytes in all", all.all)
	}
	check("one with little", own, nil)
	for in := range all.open {
		in.close()
	}
	late.close()
	if all.all != 0 || len(all.users) != 0 || len(all.open) != 0 {
		t.Errorf("left: %d bytes, users %v, %d sessions", all.all, all.users, len(all.open))
	}
}

func TestIntakeIsReadToItsEnd(t *testing.T) {
	in := newIntakes().of("viola", nil)
	text := strings.Repeat("line\n", 10_000)
	go in.pump(strings.NewReader(text))
	got, err := io.ReadAll(in)
	if err != nil || string(got) != text {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(text))
	}
}

// flood starts a command and sends it input that it does not read, until all of it
// is taken.
func flood(t *testing.T, f *fixture, c *gossh.Client, command, input string) {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	stdin, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(command); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { _, err := io.WriteString(stdin, input); sent <- err }()
	wait(t, "the command", f.started)
	if err := wait(t, "all of the input to be taken", sent); err != nil {
		t.Error(err)
	}
}

// E5: sessions with commands that read no input fill the windows of their
// channels: 2 MiB each, 640 MiB were seen. Their connection ends instead.
func TestE5_unread_input(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	other := f.dial(f.password("admin", "secret"))
	for range 3 {
		flood(t, f, client, "wait", strings.Repeat("x", maxAhead/2))
	}
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var errOut lockedBuffer
	s.Stdin, s.Stderr = strings.NewReader(strings.Repeat("x", 4<<20)), &errOut
	if err := s.Start("wait"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { _ = s.Wait(); ended <- client.Wait() }()
	wait(t, "the end of the connection", ended)
	for range 4 {
		if cause := wait(t, "the end of a command", f.causes); cause != commandline.ErrHangup {
			t.Errorf("a command ended by %v, which would cancel its job", cause)
		}
	}
	if !strings.Contains(errOut.String(), errAhead.Error()) {
		t.Errorf("it reads %q", errOut.String())
	}
	eventually(t, "nothing is held", func() bool {
		f.srv.intakes.mu.Lock()
		defer f.srv.intakes.mu.Unlock()
		return f.srv.intakes.all == 0
	})
	if got := f.session(other, "", "foo a\nfoo b\n", nil); got.Status != 0 {
		t.Errorf("the script of another user: %+v", got)
	}
}

// Half a line is never run: neither when input was dropped nor when the
// connection broke.
func TestHalfALineIsNone(t *testing.T) {
	in := newIntakes().of("viola", func() {})
	in.put([]byte("worker list\nscale web 1"), nil)
	l := readLines(in, func(fn func()) bool { go fn(); return true })
	defer l.close()
	if text, err := l.next(t.Context()); text != "worker list" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	in.put(bytes.Repeat([]byte("0"), 2*maxAhead), nil)
	for {
		text, err := l.next(t.Context())
		if errors.Is(err, errAhead) {
			break
		}
		if err != errLongLine {
			t.Fatalf("%q, %v", text, err)
		}
	}
}

// What only servers send has no reader here.
func TestE5_extended_data(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	ch, reqs, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go gossh.DiscardRequests(reqs)
	_, _ = io.WriteString(ch.Stderr(), "x")
	ended := make(chan error, 1)
	go func() { ended <- client.Wait() }()
	wait(t, "the end of the connection", ended)
}
