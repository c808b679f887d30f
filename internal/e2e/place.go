package e2e

import (
	"net"

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
	ts.Defer(func() { _ = ln.Close() }) // nobody connects to it
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
