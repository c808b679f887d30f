package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// sshKey makes a user of the cluster in $DIR with a key of its own, which need
// not have been started yet. A cluster that has a user makes up none.
func sshKey(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: sshkey USER ROLE")
	}
	s, user := of(ts), args[0]
	key := filepath.Join(s.work, user+".key")
	s.must(ts, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", user, "-f", key)
	s.must(ts, "norestart", "user", "add", user, "--role", args[1], "--key", key+".pub", "--no-password", "--dir", ts.Getenv("DIR"))
}

// must runs a program that has to do its work.
func (s *script) must(ts *testscript.TestScript, words ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if out, err := s.command(ctx, ts, words).CombinedOutput(); err != nil {
		ts.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
}

// sshConfig is for ssh -F: it knows the cluster's host key, and nothing else
// of whoever runs the test.
const sshConfig = `Host cluster
	HostName %s
	Port %s
	IdentityFile %s/%%r.key
	IdentitiesOnly yes
	BatchMode yes
	StrictHostKeyChecking yes
	HostKeyAlias cluster
	UserKnownHostsFile %s/known_hosts
	GlobalKnownHostsFile /dev/null
	ControlPath none
	ConnectTimeout 20
	LogLevel ERROR
`

func (s *script) writeSSHConfig(ts *testscript.TestScript, host, port string) error {
	key, err := os.ReadFile(filepath.Join(ts.Getenv("DIR"), "host_key.pub"))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the cluster has an admin port and no host_key.pub")
	}
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.work, "known_hosts"), []byte("cluster "+string(key)), 0o600); err != nil {
		return err
	}
	return os.WriteFile(ts.Getenv("SSH"), fmt.Appendf(nil, sshConfig, host, port, s.work, s.work), 0o600)
}
