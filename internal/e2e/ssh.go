package e2e

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/norestart/norestart/internal/harness"
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

func (s *script) must(ts *testscript.TestScript, words ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	if out, err := s.command(ctx, ts, words).CombinedOutput(); err != nil {
		ts.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
}
