package workertest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/harness"
	"github.com/norestart/norestart/worker/workertest"
)

// TestCluster: the state of a slot, and the client's connection, survive a reload of
// real processes.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := workertest.StartCluster(t)
	before := fetch(t, c.Client(), c.URL("web"))
	must(t, c.Reload())
	want := strings.NewReplacer("request 1", "request 2", "generation 1", "generation 2").Replace(before)
	if got := fetch(t, c.Client(), c.URL("web")); got != want {
		t.Errorf("after the reload it answers %q, want %q", got, want)
	}
	if err := c.Reload("other"); err == nil || !strings.Contains(err.Error(), "other") {
		t.Errorf("reload of another pool: %v", err)
	}
	workers, err := control.Get(t.Context(), c.Control(), control.WorkersQuery{})
	if must(t, err); len(workers) != 3 {
		t.Errorf("the cluster has %d workers", len(workers))
	}
	if r := (workertest.Operator{Control: c.Control()}).Run(t, "call web count"); r.Status != 0 || !strings.Contains(r.Out, "1 []") && !strings.Contains(r.Out, "2 []") {
		t.Errorf("the call prints %q, %q, %d", r.Out, r.Err, r.Status)
	}
}

// TestClusterNeedsMain: the failure tells what is missing.
func TestClusterNeedsMain(t *testing.T) {
	t.Setenv(withoutMain, "1")
	got := failure(t, func(t testing.TB) { workertest.StartCluster(t) })
	if want := "workertest: the cluster: it has ended: does TestMain call workertest.Main first?"; got != want {
		t.Errorf("it fails with %q, want %q", got, want)
	}
}

// abandon is set for a process that starts a cluster and ends without a word.
const abandon = "WORKERTEST_ABANDON"

// TestClusterEndsWithTest: also if the process of the test is killed.
func TestClusterEndsWithTest(t *testing.T) {
	if os.Getenv(abandon) != "" {
		workertest.StartCluster(t)
		fmt.Println("started with", os.Getenv(abandon))
		select {}
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^TestClusterEndsWithTest$")
	tag := abandon + "=" + t.TempDir()
	cmd.Env = append(os.Environ(), tag)
	p, err := harness.StartSeen(cmd)
	must(t, err)
	t.Cleanup(func() {
		if _, err := harness.Clear(tag); err != nil {
			t.Error(err)
		}
		<-p.Done
	})
	_, err = p.See(t.Context(), regexp.MustCompile("started with"))
	must(t, err)
	if all, err := harness.Tagged(tag); err != nil || len(all) != 5 {
		t.Errorf("a test, its primary and its workers run: %v, %v", all, err)
	}
	must(t, p.Process.Kill())
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	must(t, harness.Poll(ctx, func() bool {
		all, err := harness.Tagged(tag)
		return err == nil && len(all) == 0
	}))
}
