package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// cat is a plan that shows files; cat(1) itself changes nothing of what it
// inherits.
func cat(files ...string) Plan {
	return Plan{Path: "/bin/cat", Argv: append([]string{"cat"}, files...)}
}

// fields picks the lines of /proc/self/status that begin with a name.
func fields(status string, names ...string) map[string]string {
	got := map[string]string{}
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		for _, want := range names {
			if name == want {
				got[name] = strings.Join(strings.Fields(value), " ")
			}
		}
	}
	return got
}

func TestProgramGetsThePlanAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	r := launch(t, Plan{
		Path: "/bin/sh",
		Argv: []string{"odd name", "-c", `pwd; env | sort; ls /proc/$$/fd; echo "$0 $1"; exit 5`, "zero", "b\xffd"},
		Env:  []string{"A=1", "B=not \xff utf-8", "LISTEN_FDS=9", "PATH=/bin:/usr/bin"},
		Dir:  dir,
	}, []string{"LEAKED=1"}, 2)
	want := strings.Join([]string{dir, "A=1", "B=not \xff utf-8", "PATH=/bin:/usr/bin", "PWD=" + dir, "0", "1", "2", "3", "zero b\xffd"}, "\n")
	if diff := cmp.Diff(want, r.out); diff != "" || r.code != 5 {
		t.Errorf("program saw (-want +got):\n%s\nexit %d, %s", diff, r.code, r.errors)
	}
}

func TestSignalsAreReset(t *testing.T) {
	names := []string{"SigBlk", "SigIgn", "SigCgt", "NoNewPrivs"}
	want := map[string]string{"SigBlk": zeros, "SigIgn": zeros, "SigCgt": zeros, "NoNewPrivs": "0"}
	r := launch(t, cat("/proc/self/status"), []string{before + "=ignore signals"})
	if diff := cmp.Diff(want, fields(r.out, names...)); diff != "" {
		t.Errorf("program starts with (-want +got):\n%s%s", diff, r.errors)
	}
}

func TestUmaskAndNice(t *testing.T) {
	r := launch(t, Plan{Path: "/bin/sh", Argv: []string{"sh", "-c", "umask; nice"}, Env: []string{"PATH=/bin:/usr/bin"}, Umask: new(0o27), Nice: 7}, nil)
	if r.out != "0027\n7" {
		t.Errorf("%q, exit %d, %s", r.out, r.code, r.errors)
	}
}

const zeros = "0000000000000000"

func TestNoNewPrivs(t *testing.T) {
	p := cat("/proc/self/status")
	p.NoNewPrivs = true
	if got := fields(launch(t, p, nil).out, "NoNewPrivs"); got["NoNewPrivs"] != "1" {
		t.Errorf("NoNewPrivs is %q, want 1", got)
	}
}

func TestUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("run as root to change the user")
	}
	p := cat("/proc/self/status")
	p.User = &User{UID: 12345, GID: 23456, Groups: []uint32{7, 8}}
	want := map[string]string{
		"Uid": "12345 12345 12345 12345", "Gid": "23456 23456 23456 23456", "Groups": "7 8", "CapEff": zeros,
	}
	if diff := cmp.Diff(want, fields(launch(t, p, nil).out, "Uid", "Gid", "Groups", "CapEff")); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	p.User.Groups = nil
	if got := fields(launch(t, p, nil).out, "Groups"); got["Groups"] != "" {
		t.Errorf("groups %q, want none", got["Groups"])
	}
}

// limitsOf returns soft and hard of the lines of /proc/self/limits.
func limitsOf(text string) map[string]string {
	got := map[string]string{}
	for line := range strings.Lines(text) {
		for _, name := range []string{"Max open files", "Max processes", "Max address space", "Max core file size", "Max file size"} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				f := strings.Fields(rest)
				got[name] = f[0] + " " + f[1]
			}
		}
	}
	return got
}

func TestLimitsAreExact(t *testing.T) {
	p := cat("/proc/self/limits")
	p.Limits = map[string]uint64{"nofile": 99, "nproc": 77777, "as": 1 << 30, "core": 0, "fsize": 1 << 20}
	want := map[string]string{
		"Max open files": "99 99", "Max processes": "77777 77777", "Max address space": "1073741824 1073741824",
		"Max core file size": "0 0", "Max file size": "1048576 1048576",
	}
	r := launch(t, p, nil)
	if diff := cmp.Diff(want, limitsOf(r.out)); diff != "" {
		t.Errorf("limits (-want +got):\n%s%s", diff, r.errors)
	}
}

// A limit below what the launcher itself has open or mapped must not hurt it.
func TestLimitsBelowTheLaunchersOwnNeeds(t *testing.T) {
	p := cat("/proc/self/limits")
	p.Limits = map[string]uint64{"nofile": 4, "as": 64 << 20, "fsize": 0}
	p.User = &User{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	if os.Getuid() != 0 {
		p.User = nil
	}
	r := launch(t, p, nil)
	if got := limitsOf(r.out); got["Max open files"] != "4 4" || got["Max address space"] != "67108864 67108864" {
		t.Errorf("limits %v, %s", got, r.errors)
	}
}

// Go's runtime raises the soft limit of nofile when it starts. A program must
// not notice that there was a launcher written in Go.
func TestNofileIsWhatItWasUnlessSet(t *testing.T) {
	var hard syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &hard); err != nil {
		t.Fatal(err)
	}
	out, stdout := pipe(t)
	stage, err := New(executable(t), cat("/proc/self/limits"), []int{0, int(stdout.Fd()), 2})
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	// A shell lowers the soft limit and then becomes the launcher.
	stage.Argv = []string{"sh", "-c", `ulimit -Sn 256; exec "$1"`, "sh", stage.Path}
	stage.Path = "/bin/sh"
	pid := start(t, stage, nil)
	stdout.Close()
	text := read(t, out)
	if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
	if want, got := fmt.Sprintf("256 %d", hard.Max), limitsOf(text)["Max open files"]; got != want {
		t.Errorf("limit is %q, want %q", got, want)
	}
}

func executable(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

func TestListenVariablesOfThePrimary(t *testing.T) {
	r := launch(t, Plan{
		Path: "/bin/sh",
		Argv: []string{"sh", "-c", "echo $LISTEN_PID $LISTEN_FDS $LISTEN_FDNAMES none"},
		Env:  []string{"LISTEN_PID=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=old"},
	}, nil, 2, 2)
	if r.out != "none" {
		t.Errorf("program saw %q, want none of them; %s", r.out, r.errors)
	}
}

func TestListen(t *testing.T) {
	for way, want := range map[string]string{
		"":      "%d 2 web:admin old",
		nginx:   "%d 2 web:admin 3;4;",
		einhorn: "%d 2 web:admin old %d 2 3 4 3 4",
	} {
		r := launch(t, Plan{
			Path:   "/bin/sh",
			Argv:   []string{"sh", "-c", "echo $LISTEN_PID $LISTEN_FDS $LISTEN_FDNAMES $NGINX $EINHORN_MASTER_PID $EINHORN_FD_COUNT $EINHORN_FDS $EINHORN_FD_0 $EINHORN_FD_1"},
			Env:    []string{"LISTEN_PID=1", "LISTEN_FDS=1", "NGINX=old"},
			Listen: []string{"web", "admin"}, ListenEnv: way,
		}, nil, 2, 2)
		pids := []any{r.pid, os.Getpid()}[:strings.Count(want, "%d")]
		if want := fmt.Sprintf(want, pids...); r.out != want {
			t.Errorf("%q: program saw %q, want %q; %s", way, r.out, want, r.errors)
		}
	}
}

func TestGate(t *testing.T) {
	for _, opened := range []bool{true, false} {
		r, w := pipe(t)
		stage, err := New(executable(t), Plan{Path: "/bin/sh", Argv: []string{"sh", "-c", "exit 7"}, Gate: true}, []int{-1, -1, -1})
		if err != nil {
			t.Fatal(err)
		}
		defer stage.Close()
		stage.Files = append(stage.Files, int(r.Fd()))
		pid := start(t, stage, nil)
		r.Close()
		want := ExitCode
		if opened {
			want = 7
			if _, err := w.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || status.ExitStatus() != want {
			t.Errorf("opened %t: exit %d, %v; want %d", opened, status.ExitStatus(), err, want)
		}
	}
}

func TestDescriptorsBeyondThePlanAreClosed(t *testing.T) {
	for _, how := range []func(int) error{CloseOnExecFrom, closeListedOnExecFrom} {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY, 0) // not CLOEXEC
		if err != nil {
			t.Fatal(err)
		}
		if err := how(fd); err != nil {
			t.Error(err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("flags of descriptor %d: %#x, %v", fd, flags, err)
		}
		unix.Close(fd)
	}
}

func TestFailuresNameTheStep(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte{0, 1, 2}, 0o755); err != nil {
		t.Fatal(err)
	}
	sh := func(change func(*Plan)) Plan {
		p := Plan{Path: "/bin/sh", Argv: []string{"sh", "-c", "echo ran"}}
		change(&p)
		return p
	}
	for _, c := range []struct {
		plan Plan
		env  []string
		want string
	}{
		{
			sh(func(p *Plan) { p.Path = dir + "/none" }), nil,
			"launch: exec " + dir + "/none: no such file or directory",
		},
		{sh(func(p *Plan) { p.Path = garbage }), nil, "launch: exec " + garbage + ": exec format error"},
		{sh(func(p *Plan) { p.Dir = dir + "/none" }), nil, "launch: chdir " + dir + "/none: no such file or directory"},
		{
			sh(func(p *Plan) { p.Limits = map[string]uint64{"nofile": 100} }),
			[]string{before + "=hard limit 64"},
			"launch: set nofile 100 > hard limit 64: operation not permitted",
		},
		{sh(func(*Plan) {}), []string{fdVariable + "=x"}, `launch: NORESTART_LAUNCH_FD="x" is not a descriptor`},
		{sh(func(*Plan) {}), []string{fdVariable + "=0"}, "launch: read plan: plan is not a sealed memfd"},
	} {
		r := launch(t, c.plan, c.env)
		if r.errors != c.want || r.code != ExitCode || r.out != "" {
			t.Errorf("%+v: exit %d, output %q, errors %q; want %d, none, %q", c.plan, r.code, r.out, r.errors, ExitCode, c.want)
		}
	}
}
