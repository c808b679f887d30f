package main

import (
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/agent"
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/app"
	"github.com/norestart/norestart/internal/config"
	"github.com/norestart/norestart/internal/ignore"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/launch"
	"github.com/norestart/norestart/internal/relay"
	"github.com/norestart/norestart/shell"
)

// launched carries out the role of a launcher. Each worker begins with it, so
// nothing may come before.
func launched() {
	if os.Getenv(launch.RoleVariable) == launch.Role {
		os.Exit(app.Run(app.App{}))
	}
}

// upFlags are what the command line says of a cluster.
type upFlags struct {
	config, dir, name     string
	workers, ready, admin string
	share                 string
	listen                []string
	watch, unwatched      []string
	watches               []agent.Watch // of both
	detach                bool
}

func upCommand(std streams) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up [FLAG…] [-- PROGRAM [ARG…]]",
		Short: "Run programs, in the foreground or with --detach",
		Long: `Run the programs that norestart.toml names, or the one PROGRAM, as workers that
are never stopped: reload replaces them without losing a request, a killed one
is replaced, and when this process itself is killed they serve on and the next
up takes them over.

A program gets its sockets as from systemd (LISTEN_FDS), or with --share seize
opens the port that PORT tells it, and may tell by NOTIFY_SOCKET when it is
ready, see docs/programs.md. TERM or Ctrl-C here stops
all of it.`,
		Example: `  norestart up
  norestart up --workers 4 --share seize --listen :8080 -- node server.js
  norestart up --detach --dir ./state --listen 127.0.0.1:8080 -- ./server --verbose`,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if app.IsWorker() {
				told := app.Told()
				told.Agent.Run, told.Relay.Run = agent.Run, relay.Run
				return ended(app.Run(told))
			}
			a, err := f.app(cmd, std, args)
			switch {
			case err != nil:
				return err
			case f.detach:
				return detach(std, a)
			}
			return ended(app.Run(a))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "the `file` to read (default "+config.FileName+", without PROGRAM)")
	flags.StringVar(&f.dir, "dir", "", "directory of the cluster (run and state directory in one)")
	flags.BoolVar(&f.detach, "detach", false, "run in the background, and return when all workers are ready")
	flags.StringArrayVar(&f.watch, "watch", nil, "reload when something changes at this `path`, a file or a directory; again for more")
	flags.StringArrayVar(&f.unwatched, "watch-exclude", nil, "with --watch: a `pattern` of what is left out, as in .gitignore, beside .git, node_modules, *.swp and the like")
	flags.StringVar(&f.name, "name", "", "with PROGRAM: name of the cluster (default: that of the program)")
	flags.StringVar(&f.workers, "workers", "1", "with PROGRAM: how many run it, or auto: one for each processor")
	flags.StringArrayVar(&f.listen, "listen", nil, "with PROGRAM: an `address` to listen on, as 127.0.0.1:8080, :8080 or unix:///PATH; again for more")
	flags.StringVar(&f.ready, "ready", "", "with PROGRAM: notify: it says READY=1 when it can serve; exec or timer: it does not; listen: it listens on PORT (default timer, with --share seize or relay listen)")
	flags.StringVar(&f.share, "share", control.ShareSlots, "with PROGRAM: slots: it takes its sockets as from systemd; one: all workers take the same; seize: it opens the port that PORT, or {port} in ARG, tells it; relay: the same, and what comes is passed on to it")
	flags.StringVar(&f.admin, "admin", "127.0.0.1:7777", "with PROGRAM: `address` of the admin port, or none")
	flags.SetInterspersed(false) // what follows PROGRAM is the program's
	return cmd
}

// ended is the exit status of a process of the cluster, which has reported its
// error itself.
func ended(status int) error {
	if status == commands.StatusOK {
		return nil
	}
	return &control.Error{Status: status}
}

// app is the cluster that the command line or a file describes.
func (f *upFlags) app(cmd *cobra.Command, std streams, program []string) (app.App, error) {
	if err := f.readWatch(); err != nil {
		return app.App{}, err
	}
	if len(program) > 0 {
		a, err := f.ofProgram(program)
		a.Reread = func() (app.App, error) { return a, nil }
		return a, err
	}
	for _, name := range []string{"name", "workers", "listen", "ready", "share", "admin"} {
		if cmd.Flags().Changed(name) {
			return app.App{}, commands.Usagef("--%s is for a PROGRAM on the command line: write it into the file", name)
		}
	}
	path := f.config
	if path == "" {
		path = config.FileName
	}
	file, err := loadConfig(std.err, path)
	if err != nil {
		return app.App{}, err
	}
	if path, err = filepath.Abs(path); err != nil { // the primary is in another directory
		return app.App{}, err
	}
	a := f.ofFile(file)
	a.Reread = func() (app.App, error) {
		file, err := config.Load(path)
		if err != nil {
			return app.App{}, err
		}
		return f.ofFile(file), nil
	}
	return a, nil
}

func (f *upFlags) ofFile(file *config.File) app.App {
	a := app.App{Name: file.Name, Dir: f.dir, Shell: file.ShellConfig(), Agent: f.agentOf(file), Clock: config.Clock}
	for i, spec := range file.Spec().Pools {
		p := file.Pools[i]
		a.Pools = append(a.Pools, app.Pool{Spec: spec, User: p.User, Group: p.Group})
		addRelayed(&a, spec, relay.Pool{ProxyProtocol: p.ProxyProtocol, Forwarded: p.Forwarded})
	}
	return a
}

// readWatch reads what the command line says is watched.
func (f *upFlags) readWatch() error {
	if len(f.watch) == 0 {
		if len(f.unwatched) > 0 {
			return commands.Usagef("--watch-exclude goes with --watch")
		}
		return nil
	}
	w := agent.Watch{Exclude: f.unwatched}
	for _, path := range f.watch {
		path, err := filepath.Abs(path)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return commands.Usagef("--watch: %w", err)
		}
		w.Paths = append(w.Paths, path)
	}
	for _, text := range f.unwatched {
		if _, err := ignore.Parse(text); err != nil {
			return commands.Usagef("--watch-exclude %q: no pattern of gitignore(5)", text)
		}
	}
	f.watches = []agent.Watch{w}
	return nil
}

// addRelayed tells the relay of a pool, if it is to pass on to it.
func addRelayed(a *app.App, spec control.PoolSpec, p relay.Pool) {
	if spec.Share != control.ShareRelay {
		return
	}
	for i := range spec.Listen {
		p.Listeners = append(p.Listeners, app.RelayListener(spec.Name, i))
	}
	p.Name = spec.Name
	c, _ := a.Relay.Settings.(relay.Config)
	c.Pools = append(c.Pools, p)
	a.Relay = app.Relay{Run: relay.Run, Settings: c}
}

// agentOf is the agent of a file.
func (f *upFlags) agentOf(file *config.File) app.Agent {
	c := agent.Config{Watches: slices.Clone(f.watches)}
	a := app.Agent{Run: agent.Run}
	if addr := file.MetricsAddr(); addr != "" {
		c.Metrics, a.Listen = true, []string{agent.MetricsListener + "=" + addr}
	}
	for _, h := range file.Hooks {
		c.Hooks = append(c.Hooks, agent.Hook{
			Name: h.Name, Events: h.Events, Run: h.Run, Dir: h.WorkDir(), URL: h.URL, Timeout: time.Duration(h.Timeout), Retries: h.Retries,
		})
	}
	for _, k := range file.Commands {
		c.Commands = append(c.Commands, agent.Command{Name: k.Name, Run: k.Run, Dir: k.WorkDir(), Timeout: time.Duration(k.Timeout)})
		a.Commands = append(a.Commands, app.AgentCommand{Name: k.Name, Role: k.LeastRole(), Summary: k.Summary, Usage: k.Args})
	}
	for _, p := range file.Pools {
		if len(p.WatchFiles) > 0 {
			c.Watches = append(c.Watches, agent.Watch{Paths: file.Watched(p), Exclude: p.WatchExclude, Pools: []string{p.Name}})
		}
		if p.Log != "" {
			c.Logs = append(c.Logs, agent.Log{Pool: p.Name, Path: file.LogPath(p), Format: p.LogFormat, Size: int64(min(p.LogSize, math.MaxInt64)), Keep: p.LogKeep})
		}
	}
	a.Settings = c
	return a
}

// ofProgram is a cluster of one pool.
func (f *upFlags) ofProgram(program []string) (a app.App, err error) {
	if f.config != "" {
		return a, commands.Usagef("--config and a PROGRAM exclude each other")
	}
	name := nameOf(program[0])
	a = app.App{Name: f.name, Dir: f.dir, Agent: app.Agent{Run: agent.Run, Settings: agent.Config{Watches: f.watches}}}
	if a.Name == "" {
		a.Name = name
	}
	spec := control.PoolSpec{Name: name, Protocol: control.ProtocolMute, Program: &control.Program{Command: program}}
	if spec.Program.Dir, err = os.Getwd(); err != nil {
		return a, err
	}
	if spec.Share = f.share; f.ready == "" && (f.share == control.ShareSeize || f.share == control.ShareRelay) {
		f.ready = "listen"
	}
	switch f.ready {
	case "notify":
		spec.Protocol, spec.FDStoreMax = control.ProtocolNotify, control.DefaultFDStoreMax
	case "listen":
		spec.Protocol = control.ProtocolListen
	case "timer", "exec", "": // without min_ready they are the same
	default:
		return a, commands.Usagef("--ready %s: must be notify, exec, timer or listen", f.ready)
	}
	if spec.Workers, err = strconv.Atoi(f.workers); f.workers == "auto" {
		spec.Workers = control.Auto
	} else if err != nil {
		return a, commands.Usagef("--workers %s: must be a number or auto", f.workers)
	}
	for _, addr := range f.listen {
		if !strings.Contains(addr, "://") {
			addr = "tcp://" + addr
		}
		if _, err := inherit.Parse(addr); err != nil {
			return a, commands.Usagef("--%w", err)
		}
		spec.Listen = append(spec.Listen, addr)
	}
	a.Pools = []app.Pool{{Spec: spec}}
	addRelayed(&a, spec, relay.Pool{})
	a.Shell, err = shellAt(f.admin)
	return a, err
}

// shellAt is an admin port at an address; nil: there is none.
func shellAt(addr string) (*shell.Config, error) {
	if addr == "none" {
		return nil, nil
	}
	host, text, err := net.SplitHostPort(addr)
	port, bad := strconv.ParseUint(text, 10, 16)
	if err != nil || bad != nil {
		return nil, commands.Usagef("--admin %s: must be as 127.0.0.1:7777, or none", addr)
	}
	c := &shell.Config{Host: host, Port: int(port)}
	if port == 0 {
		c.Port = -1
	}
	return c, nil
}

// nameOf makes a pool's name of a program: "/opt/My.App" is my-app.
func nameOf(program string) string {
	switch name := config.NameOf(filepath.Base(program)); name {
	case "shell", "agent", "relay":
		return "program"
	default:
		return name
	}
}
