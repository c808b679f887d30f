package proc

import (
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// machine makes processes of lines {pid, parent, session, started}.
func machine(lines ...[4]int) processes {
	all := processes{stats: map[int]stat{}, children: map[int][]int{}, inSession: map[int][]int{}}
	for _, l := range lines {
		all.add(l[0], stat{parent: l[1], session: l[2], started: uint64(l[3])})
	}
	return all
}

func TestDescendants(t *testing.T) {
	self := os.Getpid()
	for name, c := range map[string]struct {
		all  processes
		want []int
	}{
		"none":                          {machine([4]int{10, 1, 1, 5}, [4]int{20, 1, 1, 9}), nil},
		"children of children":          {machine([4]int{10, 1, 1, 5}, [4]int{20, 10, 1, 6}, [4]int{30, 20, 30, 7}), []int{20, 30}},
		"an orphan of a session":        {machine([4]int{10, 1, 1, 5}, [4]int{20, 10, 20, 6}, [4]int{30, 1, 20, 7}, [4]int{40, 30, 1, 8}), []int{20, 30, 40}},
		"not the session that it led":   {machine([4]int{10, 1, 10, 5}, [4]int{20, 1, 10, 6}), nil},
		"not those of its own session":  {machine([4]int{1, 0, 1, 0}, [4]int{10, 1, 1, 5}, [4]int{20, 10, 1, 6}, [4]int{30, 1, 1, 7}), []int{20}},
		"not who is older":              {machine([4]int{10, 1, 1, 5}, [4]int{20, 10, 1, 4}, [4]int{30, 10, 30, 6}, [4]int{40, 1, 30, 5}), []int{30}},
		"not this process, nor its own": {machine([4]int{10, 1, 1, 5}, [4]int{self, 10, 1, 6}, [4]int{30, self, 1, 7}), nil},
		"once":                          {machine([4]int{10, 1, 1, 5}, [4]int{20, 10, 20, 6}, [4]int{30, 20, 20, 7}), []int{20, 30}},
	} {
		var got []int
		for _, id := range c.all.below(ID{10, 5}) {
			got = append(got, id.PID)
		}
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if machine([4]int{10, 1, 1, 5}).lives(ID{10, 4}) {
		t.Error("another process of the same number is taken for it")
	}
}

// TestLook: a child is found that is in a session of its own, with its own child,
// and no other process.
func TestLook(t *testing.T) {
	setsid, err := exec.LookPath("setsid")
	if err != nil {
		t.Skip("put setsid of util-linux into PATH to run it")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := NewOS()
	beside := startRole(t, o, "obey")
	beside.line(t)
	c := startCommand(t, o, Command{
		Path: "/bin/sh", Argv: []string{"sh", "-c", `exec 3<&0; "$1" sh -c '"$0" <&3 & echo; wait' "$0" & wait`, self, setsid},
		Env: []string{roleVariable + "=obey", atOnce, "PATH=" + os.Getenv("PATH")},
	})
	c.line(t) // of the inner shell
	c.line(t) // of its child, which is ready
	root := idOf(c)
	found, err := o.Descendants([]ID{root})
	if err != nil || len(found[root]) != 2 {
		t.Fatalf("%v, %v", found, err)
	}
	if all := o.besides([]ID{root}); !all[beside.PID()] || all[root.PID] {
		t.Errorf("beside %d: %v", root.PID, all)
	}
	inner := found[root][0]
	if sid, err := unix.Getsid(inner.PID); err != nil || sid != inner.PID {
		t.Errorf("the child is in session %d, %v", sid, err)
	}
	if below, err := o.Descendants([]ID{inner}); err != nil || len(below[inner]) != 1 {
		t.Errorf("below the child: %v, %v", below, err)
	}
	if n, err := o.End(found[root], "", time.Minute); n != 2 || err != nil {
		t.Errorf("%d ended, %v", n, err)
	}
}

// Processes that lost their parent and their session are ended by TERM, and by
// KILL if they do not obey.
func TestEnd(t *testing.T) {
	o := NewOS()
	obeys, ignores := startRole(t, o, "obey"), startRole(t, o, "ignore term")
	obeys.line(t)
	ignores.line(t)
	n, err := o.End([]ID{idOf(obeys), idOf(ignores)}, "", 50*time.Millisecond)
	if n != 2 || err != nil {
		t.Errorf("%d ended, %v", n, err)
	}
	if e := ended(t, obeys); e.Signal != syscall.SIGTERM {
		t.Errorf("the one that obeys: %+v", e)
	}
	if e := ended(t, ignores); e.Signal != syscall.SIGKILL {
		t.Errorf("the one that does not: %+v", e)
	}
}

// A number that was given to another process means nothing.
func TestEndLeavesOthersAlone(t *testing.T) {
	o := NewOS()
	c := startRole(t, o, "obey")
	c.line(t)
	other := ID{c.PID(), c.StartTime() - 1}
	send([]ID{other}, syscall.SIGKILL)
	if n, err := o.End([]ID{other}, "", time.Minute); n != 0 || err != nil {
		t.Errorf("%d ended, %v", n, err)
	}
	if err := c.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if e := ended(t, c); e.Signal != syscall.SIGTERM {
		t.Errorf("ended by %v", e.Signal)
	}
}

func idOf(p Process) ID { return ID{p.PID(), p.StartTime()} }
