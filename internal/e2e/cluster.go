package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/norestart/norestart/internal/harness"
)

// raced is what a program built with -race says.
var raced = regexp.MustCompile(`WARNING: DATA RACE`)

type clusterStatus struct {
	Admin   string
	Primary struct{ PID int }
	Pools   []struct {
		Name          string
		BuiltIn       bool `json:"built_in"`
		Listen        []string
		Target, Ready int
	}
}

// start starts a cluster in $DIR on free ports and waits until all its workers
// are ready; with -early only until it answers.
func start(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	early := len(args) > 0 && args[0] == "-early"
	if early {
		args = args[1:]
	}
	if len(args) == 0 {
		ts.Fatalf("usage: start [-early] PROGRAM [ARG…]")
	}
	s := of(ts)
	c, err := s.launch(ts, args)
	ts.Check(err)
	st, err := s.awaitReady(ts, c, early)
	ts.Check(err)
	s.publish(ts, c, st)
}

// launch starts the primary, with the flags for its place that args lack before
// "--". A file says itself where to listen.
func (s *script) launch(ts *testscript.TestScript, args []string) (*program, error) {
	end := slices.Index(args, "--")
	if end < 0 {
		end = len(args)
	}
	own, rest := slices.Clone(args[:end]), args[end:]
	for _, d := range [][2]string{{"--dir", ts.Getenv("DIR")}, {"--listen", "127.0.0.1:0"}, {"--admin", "127.0.0.1:0"}} {
		if !slices.Contains(own, d[0]) && (d[0] == "--dir" || !slices.Contains(own, "--config")) {
			own = append(own, d[0], d[1])
		}
	}
	args = append(own, rest...)
	path, err := lookPath(ts, args[0])
	if err != nil {
		return nil, err
	}
	name := filepath.Join(s.work, fmt.Sprintf("console%d.log", len(s.clusters)+1))
	c, err := s.spawn(ts, path, args[1:], name, name)
	if err == nil {
		s.clusters = append(s.clusters, c)
	}
	return c, err
}

// lookPath finds a program as a shell would, on the script's PATH.
func lookPath(ts *testscript.TestScript, name string) (string, error) {
	if strings.Contains(name, "/") {
		return ts.MkAbs(name), nil
	}
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// environ is the environment of the programs that the harness itself starts.
// testscript shows no more of it than single variables.
func (s *script) environ(ts *testscript.TestScript) []string {
	env := []string{"LANG=C"}
	for _, name := range []string{"PATH", "HOME", "WORK", "TMPDIR", "DIR", "SSH", "GORACE"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

// awaitReady asks the cluster itself until it is ready or has ended.
func (s *script) awaitReady(ts *testscript.TestScript, c *program, early bool) (clusterStatus, error) {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	var st clusterStatus
	err := harness.Poll(ctx, func() bool {
		if c.Ended() {
			return true
		}
		if _, err := os.Stat(filepath.Join(ts.Getenv("DIR"), "ctl.sock")); err != nil {
			return false
		}
		return s.ask(ctx, ts, &st, "status", "--json") == nil && (early || st.ready())
	})
	if c.Ended() {
		return st, fmt.Errorf("%s has ended: %v", c.Path, c.ProcessState)
	}
	if err != nil {
		return st, fmt.Errorf("%s is not ready within %v: %+v", c.Path, harness.Patience, st)
	}
	return st, nil
}

func (s *script) ask(ctx context.Context, ts *testscript.TestScript, answer any, args ...string) error {
	cmd := s.command(ctx, ts, append([]string{"ctl"}, args...))
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("ctl %v: %w", args, err)
	}
	return json.Unmarshal(out, answer)
}

func (s *script) command(ctx context.Context, ts *testscript.TestScript, words []string) *exec.Cmd {
	path, err := lookPath(ts, words[0])
	ts.Check(err)
	cmd := exec.CommandContext(ctx, path, words[1:]...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = s.environ(ts), ts.MkAbs("."), time.Second
	return cmd
}

func (st clusterStatus) ready() bool {
	for _, p := range st.Pools {
		if p.Ready < p.Target || len(p.Listen) == 0 && p.Name != "agent" { // a new primary learns its addresses from the surviving workers
			return false
		}
	}
	return len(st.Pools) > 0
}

func (s *script) publish(ts *testscript.TestScript, c *program, st clusterStatus) {
	s.set(ts, "PID", strconv.Itoa(c.PID()))
	s.set(ts, "LOG", c.out)
	s.set(ts, "ADMIN", st.Admin)
	for _, p := range slices.Backward(st.Pools) {
		switch {
		case len(p.Listen) == 0:
		case !p.BuiltIn:
			s.set(ts, "WEB", strings.TrimPrefix(p.Listen[0], "tcp://"))
		case p.Name == "agent":
			s.set(ts, "METRICS", strings.TrimPrefix(p.Listen[0], "tcp://"))
		}
	}
	if st.Admin == "" {
		return
	}
	_, port, err := net.SplitHostPort(st.Admin)
	ts.Check(err)
	s.set(ts, "PORT", port)
	ts.Check(harness.WriteSSHConfig(ts.Getenv("SSH"), st.Admin, filepath.Join(ts.Getenv("DIR"), "host_key.pub"), filepath.Join(s.work, "%r.key")))
}

// stopped waits until the primary that was started last has ended, and looks
// at its exit status, 0 unless another is named.
func stopped(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	within, args := takeWithin(ts, args, harness.Patience)
	want := takeStatus(ts, args)
	s := of(ts)
	if len(s.clusters) == 0 {
		ts.Fatalf("no cluster was started")
	}
	s.clusters[len(s.clusters)-1].expect(ts, within, want)
}

// shutdown is how most scripts end: by TERM, leaving nothing.
func shutdown(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	s := of(ts)
	if len(args) > 0 || len(s.clusters) == 0 {
		ts.Fatalf("usage: shutdown, after start")
	}
	c := s.clusters[len(s.clusters)-1]
	if err := c.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		ts.Fatalf("stop the primary: %v", err)
	}
	stopped(ts, false, nil)
	noOrphans(ts, false, nil)
}

func takeWithin(ts *testscript.TestScript, args []string, within time.Duration) (time.Duration, []string) {
	if len(args) < 2 || args[0] != "-within" {
		return within, args
	}
	d, err := time.ParseDuration(args[1])
	ts.Check(err)
	return d, args[2:]
}
