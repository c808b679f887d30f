package norestart

import (
	"os"
	"time"

	"github.com/norestart/norestart/control"
	wiring "github.com/norestart/norestart/internal/app"
	"github.com/norestart/norestart/shell"
	"github.com/norestart/norestart/worker"
)

// App is an application: what [Main] runs.
type App struct {
	Name    string // of the cluster: its directories, its prompt
	Version string // of the application, shown in the greeting of the admin port; may be empty
	Pools   []Pool
	// Shell is the admin port; nil: there is none, and `norestart ctl` on the
	// machine is the only way in.
	Shell *shell.Config
	// ConfigFile is a TOML file with what the operator sets of the application:
	// [worker.Worker.Config] has it, and `config reload` lets all workers go on with
	// what it says then, or none. From the working directory; empty: there is none.
	ConfigFile string
	// Dir is run and state directory in one, made with mode 0700 when it is
	// missing; empty: the standard places (docs/operations.md).
	Dir string
}

// Pool is a named group of like workers. A field that is left zero has the
// default that its comment names, see [control.PoolSpec].
type Pool struct {
	Name    string
	Workers int        // how many at the start; control.Auto: as many as GOMAXPROCS
	Listen  []string   // "tcp://127.0.0.1:8080", "unix:///run/x.sock", each may begin with NAME=
	Run     worker.Run // what each worker does

	Share  string            // control.ShareSlots: a socket a worker; or control.ShareOne
	Grant  control.Grant     // control.GrantNone: what its workers may ask of the primary
	Limits map[string]uint64 // resource limits: nofile, nproc, as, core, fsize (setrlimit(2))
	// User and Group are what its workers run as, by name or number; without
	// Group they have all groups of the user. Only a cluster that root has started
	// can have them.
	User, Group string
	// NewPrivileges lets what its workers execute gain privileges: set-user-ID
	// programs such as sudo or mail, and programs with capabilities such as ping.
	// Without it the kernel refuses that to them (no_new_privs).
	NewPrivileges bool

	// Policy is which ends of a worker start it again: control.Always, OnFailure
	// or Never. A worker that was ready is started at once the first time, else
	// after BackoffMin (100 ms), doubled with each end up to BackoffMax (30 s), and
	// forgotten when it has been ready for BackoffReset (10 s). After more than
	// MaxRestarts (5) ends Within (1 min) it is given up: dead.
	Policy                               control.Policy
	BackoffMin, BackoffMax, BackoffReset time.Duration
	MaxRestarts                          int
	Within                               time.Duration
	// MaxAge is how long a worker serves before it is replaced, successor first,
	// less up to a tenth, so that those of a pool are not replaced at once. 0: for
	// ever.
	MaxAge time.Duration
	// MaxMemory is how much memory a worker may have, in bytes, with all that it has
	// started and its part of what is shared (PSS). One that has had more for
	// MaxMemoryFor (30 s) is replaced in the same way. 0: any.
	MaxMemory    int64
	MaxMemoryFor time.Duration
	// MaxRequests is how many HTTP requests a worker serves, and those of the second
	// in which it reaches them, before it is replaced in the same way, less up to a
	// tenth. 0: any number.
	MaxRequests int64

	ReadyTimeout time.Duration // 30 s from its start until a worker is ready
	Beat         time.Duration // 1 s: how often a worker says that it runs
	LostAfter    time.Duration // 15 s without a beat: the worker is killed
	// Orphan is what its workers do without a primary: control.OrphanServe,
	// OrphanDrain after OrphanAfter (1 min), or OrphanExit, with which a restart of
	// the primary ends them, too.
	Orphan      string
	OrphanAfter time.Duration

	// A worker that retires gives connections that cannot be handed over LameDuck
	// (2 s; negative: none) for a last request, and has DrainTimeout (30 s) to finish
	// what it has accepted. Then it gets TERM, and KillAfter (5 s) later KILL.
	LameDuck, DrainTimeout, KillAfter time.Duration
	// KillGroup is what ends with a worker: control.KillDescendants, or
	// KillOwnGroup for workers that start daemons.
	KillGroup string

	// Canary (500 ms; negative: none) is how long the first successor of a reload
	// must stay ready before the others follow, MinReady (0) each of the others.
	Canary, MinReady time.Duration
	// Watch is how long a reload goes on looking after the last replacement: if
	// the new generation crashes more often than the one before did in that time,
	// it is rolled back. 0: it does not.
	Watch time.Duration
	// MaxSurge is how many workers a reload replaces at once (1); control.NoSurge:
	// a worker has gone before its successor is started, for workers that must
	// not overlap, at most MaxUnavailable (1) at a time.
	MaxSurge, MaxUnavailable int
	MaxWorkers               int // 512: the most that scale may ask for
}

func (p Pool) spec() control.PoolSpec {
	return control.PoolSpec{
		Name: p.Name, Workers: p.Workers, Listen: p.Listen,
		Share: p.Share, Grant: p.Grant, Limits: p.Limits, NewPrivileges: p.NewPrivileges,
		Policy: p.Policy, BackoffMin: p.BackoffMin, BackoffMax: p.BackoffMax, BackoffReset: p.BackoffReset,
		MaxRestarts: p.MaxRestarts, Within: p.Within, MaxAge: p.MaxAge,
		MaxMemory: p.MaxMemory, MaxMemoryFor: p.MaxMemoryFor, MaxRequests: p.MaxRequests,
		ReadyTimeout: p.ReadyTimeout, Beat: p.Beat, LostAfter: p.LostAfter, Orphan: p.Orphan, OrphanAfter: p.OrphanAfter,
		LameDuck: p.LameDuck, DrainTimeout: p.DrainTimeout, KillAfter: p.KillAfter, KillGroup: p.KillGroup,
		Canary: p.Canary, MinReady: p.MinReady, Watch: p.Watch,
		MaxSurge: p.MaxSurge, MaxUnavailable: p.MaxUnavailable, MaxWorkers: p.MaxWorkers,
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
	a := wiring.App{Name: app.Name, Version: app.Version, Dir: app.Dir, Shell: app.Shell, ConfigFile: app.ConfigFile}
	for _, p := range app.Pools {
		a.Pools = append(a.Pools, wiring.Pool{Spec: p.spec(), Run: p.Run, User: p.User, Group: p.Group})
	}
	os.Exit(wiring.Run(a))
}
