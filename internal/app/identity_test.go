package app

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/norestart/norestart/control"
)

func TestReachable(t *testing.T) {
	above := filepath.Join(t.TempDir(), "above")
	run := filepath.Join(above, "run")
	if err := os.MkdirAll(run, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := above; dir != "/"; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o001 == 0 {
			t.Skipf("%s is closed to others: set TMPDIR to a place that is not", dir)
		}
	}
	own := uint32(os.Geteuid())
	other := &control.Identity{Name: "other", UID: own + 4711, GID: 4711}
	for _, test := range []struct {
		above, run fs.FileMode
		as         *control.Identity
		want       string
	}{
		{0o755, 0o711, other, ""},
		{0o711, 0o711, other, ""},
		{0o755, 0o700, other, "user other cannot enter " + run + " (mode 0700): a cluster with users"},
		{0o700, 0o711, other, "user other cannot enter " + above + " (mode 0700): chmod a+x " + above},
		{0o710, 0o711, &control.Identity{Name: "member", UID: own + 4711, Groups: []uint32{uint32(os.Getegid())}, GID: 4711}, ""},
		{0o701, 0o711, &control.Identity{Name: "member", UID: own + 4711, Groups: []uint32{uint32(os.Getegid())}, GID: 4711}, "user member cannot enter " + above},
		{0o755, 0o711, &control.Identity{Name: "root"}, ""},
	} {
		for dir, mode := range map[string]fs.FileMode{above: test.above, run: test.run} {
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
		}
		err := reachable(run, test.as)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%04o %04o, %s: %v, want %q", test.above, test.run, test.as.Name, err, test.want)
		}
	}
}
