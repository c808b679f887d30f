package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/launch"
	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/primary"
)

func (app App) lead() error {
	binary, err := programPath()
	if err != nil {
		return err
	}
	cwd, err := os.Getwd()
	if err != nil {
		return err
	}
	d, err := app.dirs()
	if err != nil {
		return err
	}
	// The primary keeps no directory busy that an operator may want to remove.
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := proc.ReceiveOrphans(); err != nil {
		return err
	}
	if err := launch.CloseOnExecFrom(3); err != nil { // what a shell left open, as a lock, is not for workers
		return err
	}
	starter := proc.NewOS()
	defer starter.Close()
	spec, err := app.spec(d.Run)
	if err != nil {
		return err
	}
	cfg := primary.Config{
		Spec: spec, Version: control.Version, PID: os.Getpid(), Run: d.Run, State: d.State,
		Binary: binary, Argv: os.Args, Env: primary.CleanEnv(os.Environ()), Dir: cwd,
		Program: mainPackage(), Adopt: os.Getenv(adoptVariable) == "1",
		Starter: starter, Out: os.Stderr, Clock: app.Clock,
	}
	if cfg.Image, cfg.Back, err = succession(); err != nil {
		return err
	}
	if path := app.ConfigFile; path != "" {
		if !filepath.IsAbs(path) {
			path = filepath.Join(cwd, path)
		}
		cfg.ReadApp = func() ([]byte, error) { return readConfig(path) }
	}
	if app.Reread != nil {
		if err := app.tell(&cfg, d.Run); err != nil {
			return err
		}
	}
	if os.Getenv(DetachVariable) != "" {
		cfg.Settled = leaveTerminal
	}
	cfg.Prepare = func(admin string, again bool) error { return prepareBy(starter, cfg, admin, again) }
	cfg.Broker = app.fileBroker(d.State, cwd)
	return primary.Run(context.Background(), cfg)
}

// tell lets the primary read an application from a file anew, and send the
// built-in workers their settings.
func (app App) tell(cfg *primary.Config, run string) error {
	cfg.Reread = func() (c primary.Configuration, err error) {
		now, err := app.Reread()
		if err == nil {
			err = now.check()
		}
		if err == nil {
			c.Spec, err = now.spec(run)
		}
		if err == nil {
			c.Settings, err = now.settings()
		}
		return c, err
	}
	var err error
	cfg.Settings, err = app.settings()
	return err
}

// settings are what the built-in workers are told.
func (app App) settings() (map[string][]byte, error) {
	all := make(map[string][]byte)
	for pool, settings := range map[string]any{ShellPool: shellSettings{app.Shell, app.Agent.Commands}, AgentPool: app.Agent.Settings, RelayPool: app.Relay.Settings} {
		text, err := json.Marshal(settings)
		if err != nil {
			return nil, err
		}
		all[pool] = text
	}
	return all, nil
}

// succession reports whether this process was a primary before, of another
// version.
func succession() (image int, back string, err error) {
	text, back := os.Getenv(primary.ImageVariable), os.Getenv(primary.BackVariable)
	if text == "" {
		return 0, "", nil
	}
	if image, err = strconv.Atoi(text); err != nil {
		return 0, "", fmt.Errorf("%s: %w", primary.ImageVariable, err)
	}
	return image, back, nil
}

// DetachVariable lets a primary leave its standard error once its workers are
// ready, or given up: the process that started it waits for that.
const DetachVariable = "NORESTART_DETACH"

func leaveTerminal() error {
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Dup3(null, 2, 0), unix.Close(null))
}

// adoptVariable lets a start take the state of another program over.
const adoptVariable = "NORESTART_ADOPT"

// mainPackage tells programs apart, wherever their files are: the path of the
// main package. It is empty if the program was built of named files.
func mainPackage() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Path == "command-line-arguments" {
		return ""
	}
	return info.Path
}

// programPath is the absolute path of this program, with its symbolic links: a
// reload resolves them anew.
func programPath() (string, error) {
	path, err := exec.LookPath(os.Args[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return "", fmt.Errorf("find this program again for its workers: %w", err)
	}
	return filepath.Abs(path)
}

// hostOf is the host of an address HOST:PORT.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
