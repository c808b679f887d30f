package workertest

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/harness"
	"github.com/norestart/norestart/internal/inherit"
)

// Main makes the test binary the application, for [StartCluster]. TestMain calls it
// before anything else:
//
//	func TestMain(m *testing.M) {
//		workertest.Main(app())
//		m.Run()
//	}
//
// It returns at once in the process that runs the tests, and never in those of a
// cluster. Directory and addresses of app are replaced by free ones.
func Main(app norestart.App) {
	dir := os.Getenv(variable)
	if dir == "" {
		return
	}
	app.Dir, app.Pools = dir, slices.Clone(app.Pools)
	for i, p := range app.Pools {
		app.Pools[i].Listen = freeAll(p, dir)
	}
	if app.Shell != nil {
		admin := *app.Shell
		admin.Host, admin.Port = "", -1
		app.Shell = &admin
	}
	endWithTest()
	norestart.Main(app)
}

// variable names the directory of the cluster to all its processes.
const variable = "WORKERTEST_CLUSTER"

func freeAll(p norestart.Pool, dir string) []string {
	var all []string
	for i, text := range p.Listen {
		if l, err := inherit.Parse(text); err == nil { // else the application is told
			text = free(l, p.Name, i, dir).String()
		}
		all = append(all, text)
	}
	return all
}

// endWithTest stops a primary when the test process has gone, also by KILL: its
// standard input ends then. That of other processes of a cluster is no pipe.
func endWithTest() {
	if info, err := os.Stdin.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = unix.Kill(os.Getpid(), unix.SIGTERM) // it is our own
	}()
}

// Cluster is a real one: processes of the test binary.
type Cluster struct {
	t       testing.TB
	dir     string
	program *harness.Program
	client  *http.Client
}

// StartCluster starts a cluster of the application that TestMain has given to
// [Main], in a directory of its own, and waits until all its workers are ready. It
// is stopped when the test is over. If a process is left then, it is killed and the
// test fails; the log of a test that has failed has what the cluster said.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal("workertest: ", err)
	}
	c := &Cluster{t: t, dir: filepath.Join(t.TempDir(), "cluster"), client: &http.Client{Transport: &http.Transport{}}}
	cmd := exec.Command(path, "-test.run=^$") // no test in place of Main
	cmd.Env = append(os.Environ(), variable+"="+c.dir)
	if _, err := cmd.StdinPipe(); err != nil { // see endWithTest
		t.Fatal("workertest: ", err)
	}
	console, err := os.Create(c.console()) // not a pipe: the primary outlives its reader
	if err != nil {
		t.Fatal("workertest: ", err)
	}
	defer console.Close() // the cluster has it
	cmd.Stdout, cmd.Stderr = console, console
	if c.program, err = harness.Start(cmd); err != nil {
		t.Fatal("workertest: ", err)
	}
	t.Cleanup(c.end)
	if err := c.awaitWell(); err != nil {
		t.Fatal("workertest: the cluster: ", err)
	}
	return c
}

// console is the file of what the primary says.
func (c *Cluster) console() string { return c.dir + ".log" }

func (c *Cluster) awaitWell() error {
	ctx, cancel := context.WithTimeout(c.t.Context(), harness.Patience)
	defer cancel()
	var status control.Status
	var unknown error
	err := harness.Poll(ctx, func() bool {
		if !c.program.Ended() {
			status, unknown = control.Get(ctx, c.Control(), control.StatusQuery{})
		}
		return c.program.Ended() || unknown == nil && status.Well()
	})
	switch {
	case c.program.Ended():
		return errors.New("it has ended: does TestMain call workertest.Main first?")
	case err != nil:
		return errors.Join(err, unknown)
	}
	return nil
}

// Control is the cluster, as norestart ctl on the machine uses it.
func (c *Cluster) Control() control.Control { return harness.Control(c.dir) }

// Addr is the address of a pool's first listener, as "127.0.0.1:43210", or the path
// of a unix socket.
func (c *Cluster) Addr(pool string) string {
	c.t.Helper()
	status, err := control.Get(c.t.Context(), c.Control(), control.StatusQuery{})
	if err != nil {
		c.t.Fatal("workertest: ", err)
	}
	for _, p := range status.Pools {
		if p.Name == pool && len(p.Listen) > 0 {
			return p.Listen[0][strings.Index(p.Listen[0], "://")+len("://"):]
		}
	}
	c.t.Fatalf("workertest: the cluster has no pool %q with a listener", pool)
	return ""
}

// URL is that of a pool's first listener, as "http://127.0.0.1:43210".
func (c *Cluster) URL(pool string) string {
	c.t.Helper()
	return "http://" + c.Addr(pool)
}

// Client keeps its connections, over reloads too, until the test is over.
func (c *Cluster) Client() *http.Client { return c.client }

// Reload replaces the workers of the pools that are named, or of all, and returns
// when the last process before has gone. The error tells why it was taken back.
func (c *Cluster) Reload(pools ...string) error {
	job, err := c.Control().Do(c.t.Context(), control.ReloadRequest{Pools: pools}, func(control.JobEvent) error { return nil })
	if err == nil && job.State != control.JobOK {
		err = errors.New(cmp.Or(job.Error, string(job.State)))
	}
	return err
}

// end stops the cluster and looks for what it has left.
func (c *Cluster) end() {
	c.client.CloseIdleConnections()
	_ = c.program.Process.Signal(syscall.SIGTERM) // it has ended, if that fails
	select {
	case <-c.program.Done:
		if code := c.program.ProcessState.ExitCode(); code != 0 {
			c.t.Errorf("workertest: the cluster ended with %v", c.program.ProcessState)
		}
	case <-time.After(harness.Patience):
		c.t.Errorf("workertest: the cluster does not end")
	}
	left, err := harness.Clear(variable + "=" + c.dir)
	if len(left) > 0 || err != nil {
		c.t.Errorf("workertest: processes that the cluster has left: %v, %v", left, err)
	}
	<-c.program.Done
	if c.t.Failed() {
		said, _ := os.ReadFile(c.console()) // it is there, or there is nothing to tell
		c.t.Logf("workertest: the cluster said:\n%s", said)
	}
}
