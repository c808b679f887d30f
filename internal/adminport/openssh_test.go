package adminport

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gossh "golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/users"
)

// openSSH is the real client with a key of user viola.
type openSSH struct {
	f    *fixture
	args []string
	path string
}

func (f *fixture) openSSH(role string) *openSSH {
	f.t.Helper()
	path, err := exec.LookPath("ssh")
	if err != nil {
		f.t.Skip("install OpenSSH's ssh to run")
	}
	dir := f.t.(*testing.T).TempDir()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	block, err := gossh.MarshalPrivateKey(key, "viola")
	if err != nil {
		f.t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(key)
	if err != nil {
		f.t.Fatal(err)
	}
	f.users.set(users.User{Name: "viola", Role: role, Keys: []string{authorizedKey(signer)}})
	host, port, _ := net.SplitHostPort(f.addr)
	known := "[" + host + "]:" + port + " " + authorizedKey(f.key) + "\n"
	for name, data := range map[string][]byte{"key": pem.EncodeToMemory(block), "known_hosts": []byte(known)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	return &openSSH{f: f, path: path, args: []string{
		"-F", "none", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
		"-o", "UserKnownHostsFile=" + filepath.Join(dir, "known_hosts"), "-o", "GlobalKnownHostsFile=none",
		"-i", filepath.Join(dir, "key"), "-p", port, "-l", "viola",
	}}
}

// run runs ssh to its end. args come before the host, command after it.
func (o *openSSH) run(stdin string, args []string, command ...string) result {
	o.f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, o.path, append(append(append(o.args[:len(o.args):len(o.args)], args...), "127.0.0.1"), command...)...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	err := cmd.Run()
	if ctx.Err() != nil {
		o.f.t.Fatalf("%v: not done within %s: %v", cmd.Args, within, err)
	}
	return result{Out: out.String(), Err: errOut.String(), Status: cmd.ProcessState.ExitCode()}
}

func TestOpenSSH(t *testing.T) {
	f := start(t, Config{})
	ssh := f.openSSH("operator")
	for _, tt := range []struct {
		name, stdin string
		args        []string
		command     []string
		want        result
	}{
		{"exec", "", nil, []string{"foo", "1"}, result{Out: "foo\n1\n"}},
		{"exec with a terminal", "", []string{"-tt"}, []string{"foo", "1"}, result{Out: "foo\r\n1\r\n", Err: "Connection to 127.0.0.1 closed.\r\n"}},
		{"question", "21\n", nil, []string{"baz"}, result{Out: "21*2 = 42\n", Err: "Give me a number: "}},
		{"script", "foo\nfooo\nfoo\n", []string{"-T"}, nil, result{
			Out: "foo\n", Err: "line 2: error: unknown command \"fooo\". Did you mean: foo\nstopped; 1 of 3 commands done\n", Status: 127,
		}},
		{"denied", "", nil, []string{"shut"}, result{Err: "error: denied: shut needs role admin, you are operator\n", Status: 77}},
		{"usage", "", nil, []string{"foo '"}, result{Err: "error: unclosed quote (') at column 5\n", Status: 2}},
		{"E12 failed", "", nil, []string{"fail 1"}, result{Err: "error: as you wish\n", Status: 1}},
		{"E12 timed out", "", nil, []string{"fail 124"}, result{Err: "error: as you wish\n", Status: 124}},
		{"E12 cancelled", "", nil, []string{"fail 130"}, result{Err: "error: as you wish\n", Status: 130}},
		{"E6 -W", "", []string{"-W", "127.0.0.1:22"}, nil, result{
			Err: "channel 0: open failed: unknown channel type: unsupported channel type\r\nstdio forwarding failed\r\n", Status: 255,
		}},
		{"E6 -A", "", []string{"-A"}, []string{"foo"}, result{Out: "foo\n"}},
		{"E6 subsystem", "", []string{"-s"}, []string{"sftp"}, result{Err: "subsystem request failed on channel 0\r\n", Status: 255}},
		{"C2 none", "", []string{"-o", "PreferredAuthentications=none"}, []string{"foo"}, result{
			Err: "viola@127.0.0.1: Permission denied (password,publickey).\r\n", Status: 255,
		}},
		{"environment", "", []string{"-o", "SetEnv=NO_COLOR=1 EVIL=1"}, []string{"foo"}, result{Out: "foo\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, ssh.run(tt.stdin, tt.args, tt.command...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOpenSSHInteractive(t *testing.T) {
	f := start(t, Config{})
	ssh := f.openSSH("viewer")
	got := ssh.run("foo 1\rbaz\r21\rexit\r", []string{"-tt"})
	for _, want := range []string{
		"hello 2.7: well, 4 of 4 workers ready. help: help or ?\r\n", "viola@hello> foo 1\r\nfoo\r\n1\r\n",
		"Give me a number: 21\r\n21*2 = 42\r\n",
	} {
		if !strings.Contains(got.Out, want) {
			t.Errorf("%q is not in %q", want, got.Out)
		}
	}
	if got.Status != 0 {
		t.Errorf("status %d: %s", got.Status, got.Err)
	}
}

func TestOpenSSL(t *testing.T) {
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("install openssl to run")
	}
	f := start(t, Config{TLSUser: "viewer"})
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "s_client", "-quiet", "-connect", f.addr)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout = strings.NewReader("look\nfoo 1\nbaz\n21\n.exit\n"), &out
	if err := cmd.Run(); err != nil {
		t.Errorf("openssl: %v", err)
	}
	want := "Password: " + tlsGreeting + "foo\n1\n> Give me a number: 21*2 = 42\n> "
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
