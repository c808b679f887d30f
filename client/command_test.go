package client

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// act is what a server does with one connection.
type act struct {
	silent  bool     // ends it without a word
	noLogin bool     // ends it in the login
	noStart bool     // ends it before it knows the command
	says    []string // the output of the command
	status  int      // -1: ends it without one
}

// actor is an admin port that plays one act for each connection.
type actor struct {
	target   Target
	known    string
	identity string
	calls    atomic.Int32
	lines    chan string // commands, as they came
}

// stage makes an admin port and a client that knows it.
func stage(t *testing.T, acts ...act) *actor {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	a := &actor{known: filepath.Join(dir, "known"), identity: filepath.Join(dir, "id"), lines: make(chan string, 8)}
	a.target = serve(t, func(nc net.Conn) {
		n := int(a.calls.Add(1))
		if n > len(acts) {
			t.Errorf("connection %d", n)
			return
		}
		a.play(nc, acts[n-1], signer)
	})
	if err := os.WriteFile(a.identity, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	line := knownhosts.Line([]string{knownhosts.Normalize(a.target.Addr())}, signer.PublicKey())
	if err := os.WriteFile(a.known, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *actor) play(nc net.Conn, do act, host ssh.Signer) {
	if do.silent {
		return
	}
	cfg := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		if do.noLogin {
			_ = nc.Close()
		}
		return nil, nil
	}}
	cfg.AddHostKey(host)
	_, channels, reqs, err := ssh.NewServerConn(nc, cfg)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(reqs)
	opened, ok := <-channels
	if !ok || do.noStart {
		return
	}
	ch, reqs, err := opened.Accept()
	if err != nil {
		return
	}
	a.command(ch, reqs, do)
}

// command plays the command and ends the connection.
func (a *actor) command(ch ssh.Channel, reqs <-chan *ssh.Request, do act) {
	for req := range reqs {
		if req.Type != "exec" {
			continue // marks are given or not, as the act has it
		}
		var exec struct{ Command string }
		_ = ssh.Unmarshal(req.Payload, &exec)
		a.lines <- exec.Command
		_ = req.Reply(true, nil)
		for _, text := range do.says {
			_, _ = ch.Write([]byte(text))
		}
		if do.status >= 0 {
			_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(do.status)}))
		}
		_ = ch.Close()
		return
	}
}

func said(kind, value string) string { return markBegin + kind + ";" + value + markClose }

// TestCommandOutlivesItsConnection: what was not sent is sent, what only looks
// goes on where it broke, and nothing else is sent twice.
func TestCommandOutlivesItsConnection(t *testing.T) {
	again := "Connection lost. Reconnecting... done!\n"
	run := said(markRun, "")
	for _, tt := range []struct {
		name, line   string
		attempts     int
		acts         []act
		lines        []string
		out, notes   string
		status       int
		lost, failed string // the error
		hint         string
	}{
		{
			name: "no connection is lost", line: "foo", acts: []act{{says: []string{run, "1\n"}, status: 3}},
			lines: []string{"foo"}, out: "1\n", status: 3,
		},
		{
			name: "lost in the login, then before the command", line: "scale web 3", acts: []act{{noLogin: true}, {noStart: true}, {says: []string{run, "done\n"}}},
			lines: []string{"scale web 3"}, out: "done\n", notes: again + again,
		},
		{
			name: "the next connections break as well", line: "scale web 3", acts: []act{{noStart: true}, {silent: true}, {noLogin: true}, {says: []string{run, "done\n"}}},
			lines: []string{"scale web 3"}, out: "done\n", notes: again,
		},
		{
			name: "no attempts", line: "scale web 3", attempts: -1, acts: []act{{noStart: true}},
			failed: "connection lost before the command was sent",
		},
		{
			name: "refused in the next login", line: "scale web 3", attempts: 1, acts: []act{{noStart: true}, {silent: true}},
			failed: "the command was not sent", notes: "Connection lost. Reconnecting... failed.\n",
		},
		{
			name: "shut out", line: "scale web 3", acts: []act{{silent: true}}, failed: "handshake failed",
		},
		{
			name: "a change", line: "scale web 3", acts: []act{{says: []string{run, "worker web/2 star"}, status: -1}},
			lines: []string{"scale web 3"}, out: "worker web/2 star",
			lost: "connection lost: whether the command was done is not known", hint: "job list",
		},
		{
			name: "a log", line: "log --follow",
			acts: []act{
				{says: []string{run, "one", said(markPlace, "7.1"), "\ntw"}, status: -1},
				{says: []string{run, "two", said(markPlace, "7.2")}, status: -1},
				{says: []string{run, "three", said(markPlace, "7.3"), "\n"}},
			},
			lines: []string{"log --follow", "log --follow --lines=10000 --after=7.1", "log --follow --lines=10000 --after=7.2"},
			out:   "one\ntwo\nthree\n", notes: again + again,
		},
		{
			name: "a log under a key with a command of its own", line: "log --follow", acts: []act{{says: []string{"reloading\n"}, status: -1}},
			lines: []string{"log --follow"}, out: "reloading\n",
			lost: "connection lost: whether the command was done is not known", hint: "job list",
		},
		{
			name: "a job", line: "reload --json",
			acts: []act{
				{says: []string{run, said(markJob, "12"), "{1}", said(markPlace, "1"), "\n"}, status: -1},
				{says: []string{run, said(markJob, "12")}, status: -1},
				{says: []string{run, said(markJob, "12"), "{2}", said(markPlace, "2"), "\n"}, status: 1},
			},
			lines: []string{"reload --json", "job follow 12 --after=1 --json", "job follow 12 --after=1 --json"},
			out:   "{1}\n{2}\n", notes: again + again, status: 1,
		},
		{
			name: "a job, and nobody answers", line: "reload", attempts: 1,
			acts:  []act{{says: []string{run, said(markJob, "12")}, status: -1}, {silent: true}},
			lines: []string{"reload"}, notes: "Connection lost. Reconnecting... failed.\n",
			lost: "connection lost: how job 12 ends is not known", hint: "job follow 12",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := stage(t, tt.acts...)
			var out, errs, notes bytes.Buffer
			c := &Command{
				SSH:   &SSH{Target: a.target, Identities: []string{a.identity}, KnownHosts: a.known},
				Retry: Retry{Attempts: tt.attempts, Delay: 1}, Line: tt.line, Notes: &notes,
				Streams: Streams{Out: &out, Err: &errs},
			}
			status, err := c.Run(t.Context(), func() {})
			close(a.lines)
			var lines []string
			for line := range a.lines {
				lines = append(lines, line)
			}
			if diff := cmp.Diff(tt.lines, lines); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]any{tt.out, tt.notes, tt.status}, []any{out.String(), notes.String(), status}); diff != "" {
				t.Errorf("seen (-want +got):\n%s", diff)
			}
			if int(a.calls.Load()) != len(tt.acts) {
				t.Errorf("%d connections, want %d", a.calls.Load(), len(tt.acts))
			}
			judge(t, err, tt.lost, tt.failed, tt.hint)
		})
	}
}

// judge compares an error with what is expected: a command whose outcome is not
// known, one that was not sent, or none.
func judge(t *testing.T, err error, lost, failed, hint string) {
	t.Helper()
	l, isLost := errors.AsType[*LostError](err)
	switch {
	case isLost != (lost != ""):
		t.Errorf("error %v, want %q", err, lost)
	case isLost:
		if diff := cmp.Diff([]string{lost, hint}, []string{l.Message, l.Hint}); diff != "" {
			t.Errorf("lost (-want +got):\n%s", diff)
		}
	case (err == nil) != (failed == "") || err != nil && !bytes.Contains([]byte(err.Error()), []byte(failed)):
		t.Errorf("error %v, want %q", err, failed)
	}
}
