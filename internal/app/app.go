package app

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/entry"
	"github.com/norestart/norestart/internal/launch"
	"github.com/norestart/norestart/primary"
	"github.com/norestart/norestart/shell"
	"github.com/norestart/norestart/worker"
)

// App is norestart.App as data.
type App struct {
	Name, Version, Dir string
	ConfigFile         string
	Pools              []Pool
	Shell              *shell.Config // nil: no admin port
	Agent              Agent
	Relay              Relay
	// Reread, if not nil, reads it anew from its file. Its workers do not read
	// the file: the primary tells them their settings.
	Reread func() (App, error)
	// Clock, if not nil, reads schedules, see [primary.Config].
	Clock func(schedule string) (next func(after time.Time) time.Time, err error)
}

// Agent is the built-in pool that pools of other programs need.
type Agent struct {
	Run      worker.Run // nil: it only keeps their sockets
	Listen   []string
	Settings any // as JSON the settings of Run, see package shellworker
	Commands []AgentCommand
}

// Relay is the built-in pool that pools under control.ShareRelay need.
type Relay struct {
	Run      worker.Run
	Settings any // as JSON the settings of Run, see package shellworker
}

// AgentCommand is a command of the shell that runs in the agent.
type AgentCommand struct {
	Name, Summary, Usage string
	Role                 commands.Role
}

// IsWorker reports whether this process is a worker of the library.
func IsWorker() bool { return os.Getenv(primary.RoleVariable) == primary.RoleWorker }

// Told is the application of workers whose settings come from the primary.
func Told() App { return App{Name: "told", Shell: &shell.Config{}} }

// Pool is one pool of the application.
type Pool struct {
	Spec        control.PoolSpec
	Run         worker.Run // nil: its workers are another program, see Spec
	User, Group string
}

// rolePrepare is a role beside those of the packages primary and launch.
const rolePrepare = "prepare"

// Run carries out the role of this process and returns its exit status.
func Run(app App) int {
	role := os.Getenv(primary.RoleVariable)
	if role == launch.Role {
		return status(launch.Run(), launch.ExitCode)
	}
	if err := app.check(); err != nil {
		return status(fmt.Errorf("%s: %w", app.Name, err), 2)
	}
	switch role {
	case primary.RoleWorker:
		return status(app.work(), 1)
	case rolePrepare:
		return status(app.prepare(), 1)
	case primary.RoleCheck:
		return status(app.selfCheck(), 1)
	case "":
		if err := app.lead(); err != nil {
			return status(fmt.Errorf("%s: %w", app.Name, err), 1)
		}
		return 0
	}
	return status(fmt.Errorf("%s=%s: no such role", primary.RoleVariable, role), 2)
}

// selfCheck finds faults that lead would find only after the exec of a new
// binary, when it is too late.
func (app App) selfCheck() error {
	d, err := app.dirs()
	if err == nil {
		_, err = app.spec(d.Run)
	}
	if err == nil {
		err = primary.CheckKey(d.State)
	}
	if err == nil {
		_, err = fmt.Print(primary.CheckAnswer())
	}
	return err
}

// dirs are the directories of the cluster. Their owner decides what it runs.
func (app App) dirs() (dirs.Dirs, error) {
	d, err := dirs.For(app.Name, app.Dir)
	if err == nil {
		err = dirs.CheckOwn(d.State)
	}
	return d, err
}

func status(err error, code int) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	return code
}

func (app App) work() error {
	fd, err := strconv.Atoi(os.Getenv(primary.BootVariable))
	if err != nil {
		return fmt.Errorf("%s: %w", primary.BootVariable, err)
	}
	for _, name := range []string{primary.RoleVariable, primary.BootVariable, primary.RunVariable} {
		if err := os.Unsetenv(name); err != nil { // its children have no role
			return err
		}
	}
	return entry.Worker(fd, worker.Run(func(ctx context.Context, w *worker.Worker) error {
		switch {
		case w.Pool() == ShellPool && app.Shell != nil:
			return app.serveShell(ctx, w)
		case w.Pool() == AgentPool:
			return app.Agent.run(ctx, w)
		case w.Pool() == RelayPool && app.Relay.Run != nil:
			return app.Relay.Run(ctx, w)
		}
		for _, p := range app.Pools {
			if p.Spec.Name == w.Pool() {
				return p.Run(ctx, w)
			}
		}
		return fmt.Errorf("this binary has no pool %q", w.Pool())
	}))
}

func (a Agent) run(ctx context.Context, w *worker.Worker) error {
	if a.Run != nil {
		return a.Run(ctx, w)
	}
	w.Ready() // package worker keeps the sockets
	<-ctx.Done()
	return nil
}
