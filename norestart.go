package norestart

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/launch"
	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/primary"
	"github.com/norestart/norestart/shell"
	"github.com/norestart/norestart/worker"
)

// Version is the version of norestart.
const Version = control.Version

// App is an application: what [Main] runs.
type App struct {
	Name    string // of the cluster: its directories, its prompt
	Version string // of the application, shown by version; may be empty
	Pools   []Pool
	// Shell is the admin port; nil: there is none, and `norestart ctl` on the
	// machine is the only way in.
	Shell *shell.Config
	// Dir is run and state directory in one, made with mode 0700 when it is
	// missing; empty: the standard places (docs/operations.md).
	Dir string
}

// Pool is a named group of like workers. Fields that are left zero have the
// defaults of [control.PoolSpec].
type Pool struct {
	Name    string
	Workers int        // how many; control.Auto: as many as GOMAXPROCS
	Listen  []string   // "tcp://127.0.0.1:8080", "unix:///run/x.sock", each may begin with NAME=
	Run     worker.Run // what each worker does

	Share  string            // control.ShareSlots (default) or control.ShareOne
	Policy control.Policy    // control.Always
	Grant  control.Grant     // what its workers may ask of the primary; nothing
	Limits map[string]uint64 // resource limits: nofile, nproc, as, core, fsize
	// User and Group are whom its workers run as, by name or number; an empty
	// Group is the user's own with his others. Only a cluster of root's can have
	// them.
	User, Group string
	// NewPrivileges lets what its workers execute gain privileges: set-user-ID
	// programs such as sudo or mail, and programs with capabilities such as ping.
	// Without it the kernel refuses that to them (no_new_privs).
	NewPrivileges bool
	// Orphan is what its workers do without a primary: control.OrphanServe
	// (default), OrphanDrain after OrphanAfter, or OrphanExit, with which a
	// restart of the primary ends them, too.
	Orphan      string
	OrphanAfter time.Duration

	ReadyTimeout, MinReady, Canary    time.Duration
	LameDuck, DrainTimeout, KillAfter time.Duration
	MaxRestarts                       int
	Within                            time.Duration
	// MaxSurge is how many workers a reload replaces at once; control.NoSurge:
	// a worker has gone before its successor is started, for workers that must
	// not overlap, at most MaxUnavailable at a time.
	MaxSurge, MaxUnavailable int
	MaxWorkers               int
	LostAfter                time.Duration
}

func (p Pool) spec() control.PoolSpec {
	return control.PoolSpec{
		Name: p.Name, Workers: p.Workers, Listen: p.Listen,
		Share: p.Share, Policy: p.Policy, Grant: p.Grant, Limits: p.Limits, NewPrivileges: p.NewPrivileges,
		Orphan: p.Orphan, OrphanAfter: p.OrphanAfter,
		ReadyTimeout: p.ReadyTimeout, MinReady: p.MinReady, Canary: p.Canary,
		LameDuck: p.LameDuck, DrainTimeout: p.DrainTimeout, KillAfter: p.KillAfter,
		MaxRestarts: p.MaxRestarts, Within: p.Within,
		MaxSurge: p.MaxSurge, MaxUnavailable: p.MaxUnavailable, MaxWorkers: p.MaxWorkers, LostAfter: p.LostAfter,
	}
}

// Main runs the application and ends the process when it has been stopped: with
// status 0, or 1 after an error, which it prints, or 2 if app is not right.
//
// It is called by the program's main in every process of the cluster: the
// first is the primary, which starts the same binary again for each worker.
// What main does before it is done in all of them, so it should only parse
// flags.
func Main(app App) {
	os.Exit(run(app))
}

// Roles of a process beside primary.RoleWorker and launch.Role.
const rolePrepare = "prepare"

// run picks the role of this process.
func run(app App) int {
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

// selfCheck finds what lead would find wrong after the exec of a new binary,
// when it is too late.
func (app App) selfCheck() error {
	d, err := dirs.For(app.Name, app.Dir)
	if err == nil {
		_, err = app.specFor(d.Run)
	}
	if err == nil {
		_, err = fmt.Print(primary.CheckAnswer())
	}
	return err
}

func status(err error, code int) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	return code
}

// shellPool is the name of the built-in pool that holds the admin port.
const shellPool = "shell"

// isPoolName is a loop, for a regular expression would be compiled at the start
// of every process of the application.
func isPoolName(name string) bool {
	ok := name != "" && len(name) <= 32
	for i, r := range name {
		switch {
		case r >= 'a' && r <= 'z':
		case i > 0 && (r >= '0' && r <= '9' || r == '_' || r == '-'):
		default:
			ok = false
		}
	}
	return ok
}

// check refuses an App that cannot run, in the words of who wrote it.
func (app App) check() error {
	if err := dirs.CheckName(app.Name); err != nil {
		return err
	}
	seen := map[string]bool{shellPool: true, "agent": true}
	for i, p := range app.Pools {
		switch {
		case !isPoolName(p.Name):
			return fmt.Errorf("pool %d: name %q: must be at most 32 of a-z 0-9 _ - and begin with a letter", i, p.Name)
		case seen[p.Name]:
			return fmt.Errorf("pool %s: the name is taken", p.Name)
		case p.Run == nil:
			return fmt.Errorf("pool %s: it has no Run", p.Name)
		}
		seen[p.Name] = true
		if err := checkPool(p.spec().WithDefaults()); err != nil {
			return fmt.Errorf("pool %s: %w", p.Name, err)
		}
	}
	return nil
}

func checkPool(s control.PoolSpec) error {
	switch {
	case s.Workers < 0 && s.Workers != control.Auto, s.Workers > s.MaxWorkers:
		return fmt.Errorf("%d workers: must be between 0 and %d", s.Workers, s.MaxWorkers)
	case s.Share != control.ShareSlots && s.Share != control.ShareOne:
		return fmt.Errorf("share %q: must be %s or %s", s.Share, control.ShareSlots, control.ShareOne)
	case s.Policy != control.Always && s.Policy != control.OnFailure && s.Policy != control.Never:
		return fmt.Errorf("policy %q: must be %s, %s or %s", s.Policy, control.Always, control.OnFailure, control.Never)
	}
	if s.MaxSurge < control.NoSurge || s.MaxUnavailable < 0 {
		return fmt.Errorf("max surge %d, max unavailable %d: must be above 0, or control.NoSurge", s.MaxSurge, s.MaxUnavailable)
	}
	if s.Orphan != control.OrphanServe && s.Orphan != control.OrphanDrain && s.Orphan != control.OrphanExit {
		return fmt.Errorf("orphan %q: must be %s, %s or %s", s.Orphan, control.OrphanServe, control.OrphanDrain, control.OrphanExit)
	}
	for _, l := range s.Listen {
		if _, err := inherit.Parse(l); err != nil {
			return err
		}
	}
	return nil
}

// spec is the application as data: what the primary needs to know of it.
func (app App) spec() control.Spec {
	s := control.Spec{Name: app.Name}
	for _, p := range app.Pools {
		s.Pools = append(s.Pools, p.spec())
	}
	if app.Shell != nil {
		s.Admin = shellPool
		s.Pools = append(s.Pools, control.PoolSpec{
			Name: shellPool, BuiltIn: true, Workers: 1, Share: control.ShareOne,
			Listen: []string{"tcp://" + app.Shell.Addr()}, Grant: control.GrantControl,
			MaxOutgoing: 4, LameDuck: -1, DrainTimeout: 5 * time.Second,
		})
	}
	return s
}

// work is the role of a worker.
func (app App) work() error {
	fd, err := strconv.Atoi(os.Getenv(primary.BootVariable))
	if err != nil {
		return fmt.Errorf("%s: %w", primary.BootVariable, err)
	}
	for _, name := range []string{primary.RoleVariable, primary.BootVariable} {
		if err := os.Unsetenv(name); err != nil { // its own children are none of ours
			return err
		}
	}
	return worker.Main(fd, func(ctx context.Context, w *worker.Worker) error {
		if w.Pool() == shellPool && app.Shell != nil {
			return app.serveShell(ctx, w)
		}
		for _, p := range app.Pools {
			if p.Name == w.Pool() {
				return p.Run(ctx, w)
			}
		}
		return fmt.Errorf("this binary has no pool %q", w.Pool())
	})
}

// lead is the role of the primary.
func (app App) lead() error {
	binary, err := ownPath()
	if err != nil {
		return err
	}
	cwd, err := os.Getwd()
	if err != nil {
		return err
	}
	d, err := dirs.For(app.Name, app.Dir)
	if err != nil {
		return err
	}
	// The primary stands in no directory that somebody may want to remove.
	if err := os.Chdir("/"); err != nil {
		return err
	}
	starter := proc.NewOS()
	defer starter.Close()
	spec, err := app.specFor(d.Run)
	if err != nil {
		return err
	}
	cfg := primary.Config{
		Spec: spec, Version: Version, PID: os.Getpid(), Run: d.Run, State: d.State,
		Binary: binary, Argv: os.Args, Env: primary.CleanEnv(os.Environ()), Dir: cwd,
		Starter: starter, Out: os.Stderr,
	}
	if cfg.Image, cfg.Back, err = succession(); err != nil {
		return err
	}
	cfg.Prepare = func(admin string, again bool) error { return prepareBy(starter, cfg, admin, again) }
	cfg.Custody = app.custody(d.State, cwd)
	return primary.Run(context.Background(), cfg)
}

// succession tells whether this process was a primary before, of another
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

// ownPath is the path by which this program was started, made absolute, with
// its symbolic links as they are: a reload resolves them anew.
func ownPath() (string, error) {
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
