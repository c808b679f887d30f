package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// occupy holds a port until the script ends, and names its address.
func occupy(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) != 1 {
		ts.Fatalf("usage: occupy VAR")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = ln.Close() }) // it accepts no connection
	of(ts).set(ts, args[0], ln.Addr().String())
}

// tinyDisk mounts a file system of a few KiB, which is soon full.
func tinyDisk(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: tinydisk DIR SIZE")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(unix.Mount("none", dir, "tmpfs", 0, "mode=700,size="+args[1]))
	ts.Defer(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // goes with the last user
}

// makeCgroup makes a control group that may be divided, as systemd does it for
// Delegate=yes.
func makeCgroup() (string, error) {
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var fs unix.Statfs_t
		if unix.Statfs(mount, &fs) != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir, err := os.MkdirTemp(mount, "norestart-e2e-")
		if err != nil {
			return "", err
		}
		return dir, unix.Setxattr(dir, "user.delegate", []byte("1"), 0)
	}
	return "", unix.ENODEV
}

// inCgroup gives the script a control group, and a program for those that begin
// in it.
func inCgroup(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	if len(args) != 1 {
		ts.Fatalf("usage: cgroup FILE")
	}
	dir, err := makeCgroup()
	ts.Check(err)
	of(ts).cgroup = dir
	ts.Check(os.Symlink(dir, ts.MkAbs("cgroup")))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), fmt.Appendf(nil, "#!/bin/sh\necho $$ > %s/cgroup.procs\nexec \"$@\"\n", dir), 0o700))
}

func removeCgroup(tb testing.TB, dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs"))
	for _, file := range left {
		_ = os.Remove(filepath.Dir(file)) // else the next one fails
	}
	if err := os.Remove(dir); err != nil {
		tb.Error(err)
	}
}
