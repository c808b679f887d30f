package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/app"
	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/typeset"
	"github.com/norestart/norestart/primary"
)

// answerTimeout bounds the wait for the answer of one primary.
const answerTimeout = 2 * time.Second

// listedCluster is a row of list.
type listedCluster struct {
	Name    string `json:"name"`
	State   string `json:"state"` // running, no primary, stopped, unknown
	Ready   int    `json:"ready"` // without a primary: workers that still run
	Target  int    `json:"target"`
	Primary int    `json:"primary"` // its pid; 0: none
	Admin   string `json:"admin"`   // HOST:PORT, empty: no admin port
	Login   string `json:"login"`   // the command
	Dir     string `json:"dir"`     // state directory
	Error   string `json:"error,omitempty"`

	where dirs.Dirs
	named bool // found by its name, not by --dir
}

const (
	stateRunning   = "running"
	stateNoPrimary = "no primary"
	stateStopped   = "stopped"
	stateUnknown   = "unknown"
)

func clustersCommand(std streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [--json]",
		Short: "List the clusters on this machine",
		Long: `List the clusters of this user; root sees those of all users that run. Those
that were started with a name are listed whether they run or not, those with
--dir while they have a primary.`,
		Example: "  norestart list",
		Args:    exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := listClusters(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return writeList(std.out, "clusters", all)
			}
			return printClusters(std.out, all)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one object in JSON")
	return cmd
}

func listClusters(ctx context.Context) ([]listedCluster, error) {
	named, err := dirs.All()
	running := lockedDirs()
	if err != nil && len(running) == 0 {
		return nil, err
	}
	var all []listedCluster
	for _, d := range named {
		all = append(all, listedCluster{where: d, named: true, Name: filepath.Base(d.State)})
	}
	for _, dir := range running {
		if !slices.ContainsFunc(all, func(c listedCluster) bool { return c.where.State == dir }) {
			all = append(all, listedCluster{where: dirs.Dirs{Run: dir, State: dir}, Name: filepath.Base(dir)})
		}
	}
	for i := range all {
		all[i].look(ctx)
	}
	return all, nil
}

// lockedDirs are the directories, state and run directory in one, that a primary
// has locked, as far as this user may see its process.
func lockedDirs() (found []string) {
	text, err := os.ReadFile("/proc/locks") // proc_locks(5)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 5 || fields[1] != "FLOCK" {
			continue
		}
		files, _ := filepath.Glob("/proc/" + fields[4] + "/fd/*")
		for _, file := range files {
			path, _ := os.Readlink(file) // it is gone, or not ours to see
			dir, name := filepath.Split(path)
			dir = filepath.Clean(dir)
			if _, err := os.Lstat(filepath.Join(dir, ipc.CtlSocket)); name == "lock" && err == nil && !slices.Contains(found, dir) {
				found = append(found, dir)
			}
		}
	}
	return found
}

// look fills in the state of the cluster.
func (c *listedCluster) look(ctx context.Context) {
	c.Dir = c.where.State
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	client := &ipc.Client{Dial: ctl{run: c.where.Run}.dial}
	s, err := control.Get(ctx, client, control.StatusQuery{})
	switch {
	case err == nil:
		c.running(s)
	case errors.Is(err, control.ErrUnavailable):
		c.left(primary.ReadLeft(c.where.State))
	default:
		c.State, c.Error = stateUnknown, err.Error()
	}
	c.Login = c.login()
}

func (c *listedCluster) running(s control.Status) {
	c.State, c.Name, c.Admin = stateRunning, s.Name, s.Admin
	if s.Primary != nil {
		c.Primary = s.Primary.PID
	}
	for _, p := range s.Pools {
		if !p.BuiltIn {
			c.Ready, c.Target = c.Ready+p.Ready, c.Target+p.Target
		}
	}
}

func (c *listedCluster) left(l *primary.Left, err error) {
	switch {
	case err != nil:
		c.State, c.Error = stateUnknown, err.Error()
		return
	case l == nil || l.Stopped:
		c.State = stateStopped
		return
	}
	for pool, target := range l.Targets {
		if pool != app.ShellPool && pool != app.AgentPool && pool != app.RelayPool {
			c.Ready, c.Target = c.Ready+l.Workers[pool], c.Target+target
		}
	}
	c.State = stateNoPrimary
	if c.Ready == 0 && l.Workers[app.ShellPool] == 0 {
		c.State = stateStopped // the machine was, or all was killed
		return
	}
	if l.Workers[app.ShellPool] > 0 {
		c.Admin = l.Address(app.ShellPool)
	}
}

// login is the command to log in with.
func (c *listedCluster) login() string {
	switch {
	case c.State == stateStopped, c.State == stateUnknown, c.State == stateNoPrimary && c.Admin == "":
		return ""
	case c.Admin == "" && c.named:
		return "norestart ctl --name " + c.Name + " status"
	case c.Admin == "":
		return "norestart ctl --dir " + c.Dir + " status"
	}
	user := "admin"
	if f, err := readUsers(c.where.State); err == nil {
		user = app.FirstAdmin(f)
	}
	return app.SSHLine(user, c.Admin)
}

// told is the state for a person.
func (c *listedCluster) told() string {
	switch c.State {
	case stateRunning:
		return fmt.Sprintf("running, %d of %d ready", c.Ready, c.Target)
	case stateNoPrimary:
		return fmt.Sprintf("no primary, %d of %d workers serve on", c.Ready, c.Target)
	case stateUnknown:
		return "unknown: " + c.Error
	}
	return c.State
}

func printClusters(w io.Writer, all []listedCluster) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no cluster; norestart up starts one")
		return err
	}
	rows := [][]string{{"NAME", "PRIMARY", "STATE", "LOG IN", "DIRECTORY"}}
	for _, c := range all {
		pid := "-"
		if c.Primary != 0 {
			pid = strconv.Itoa(c.Primary)
		}
		rows = append(rows, []string{c.Name, pid, c.told(), cmp.Or(c.Login, "-"), c.Dir})
	}
	_, err := io.WriteString(w, typeset.Table(rows, 0, nil))
	return err
}
