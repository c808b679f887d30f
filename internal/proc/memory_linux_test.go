package proc

import (
	"os"
	"testing"
)

// TestMemory: it is that of a process and its descendants, shared parts in equal
// shares, and the simple sum where that is no more than the limit.
func TestMemory(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := NewOS()
	c := startCommand(t, o, Command{Path: "/bin/sh", Argv: []string{"sh", "-c", `exec 3<&0; "$0" <&3 & echo; wait`, self}, Env: []string{roleVariable + "=obey", atOnce}})
	c.line(t) // of the shell
	c.line(t) // of its child, which is ready
	root := idOf(c)
	found, err := o.Descendants([]ID{root})
	if err != nil || len(found[root]) == 0 {
		t.Fatalf("%v, %v", found, err)
	}
	known := []ID{found[root][0]}
	other := ID{c.PID(), c.StartTime() - 1}
	all := []Family{{Root: root}, {Root: root, Limit: 1 << 40}, {Root: other, Known: known}, {Root: other}}
	sums, err := o.Memory(all)
	if err != nil {
		t.Fatal(err)
	}
	whole, simple, child, none := sums[0], sums[1], sums[2], sums[3]
	if child < 1<<18 || whole <= child || simple <= whole || none != 0 {
		t.Errorf("the family has %d bytes, %d as a simple sum, its child %d, another process of its number %d", whole, simple, child, none)
	}
}

// TestPrivate: what no other process has is less than its share of everything.
func TestPrivate(t *testing.T) {
	share, err := proportional(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	own, err := private("/proc/self")
	if err != nil || own < 1<<20 || own > share+share/8 {
		t.Errorf("private %d, PSS %d, %v", own, share, err)
	}
	for _, missing := range []func() (int64, error){
		func() (int64, error) { return proportional(1 << 30) },
		func() (int64, error) { return private("/proc/1073741824") },
	} {
		if n, err := missing(); n != 0 || err != nil {
			t.Errorf("of a process that has gone: %d, %v", n, err)
		}
	}
}
