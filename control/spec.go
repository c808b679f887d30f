package control

import "time"

// Spec is what a cluster is told to run, as data.
type Spec struct {
	Name  string
	Admin string // pool name of the shell, empty without one
	Pools []PoolSpec
}

// Policy tells which exits of a worker start it again.
type Policy string

// The policies. A worker that may not be started again is dead, or done under
// Never with exit status 0.
const (
	Always    Policy = "always"
	OnFailure Policy = "on-failure" // an exit status other than 0, or a signal
	Never     Policy = "never"
)

// Grant is what the workers of a pool may ask of the primary beyond speaking
// of themselves.
type Grant string

// The grants.
const (
	GrantNone    Grant = ""
	GrantReload  Grant = "reload"  // reload their own pool
	GrantControl Grant = "control" // everything in [Control]
)

// How the workers of a pool share its listeners.
const (
	ShareSlots = "slots" // one SO_REUSEPORT socket a slot, steered by the primary
	ShareOne   = "one"   // one inherited socket
)

// What the workers of a pool do while there is no primary.
const (
	OrphanServe = "serve" // go on, and join the next one
	OrphanDrain = "drain" // the same, but drain and end when none has come in time
	OrphanExit  = "exit"  // drain and end at once
)

// Identity is whom the workers of a pool run as.
type Identity struct {
	Name, Home string // for their environment; may be empty
	UID, GID   uint32
	Groups     []uint32 // all supplementary groups
}

// PoolSpec is one pool. [PoolSpec.WithDefaults] fills zero fields as the
// comments say.
type PoolSpec struct {
	Name    string
	BuiltIn bool
	Workers int               // target at start; Auto allowed
	Listen  []string          // "tcp://127.0.0.1:8080", "unix:///run/x.sock", each may begin with NAME=
	Share   string            // ShareSlots
	Grant   Grant             // GrantNone
	Orphan  string            // OrphanServe: what workers do without a primary
	Policy  Policy            // Always
	Limits  map[string]uint64 // soft and hard: nofile, nproc, as, core, fsize
	RunAs   *Identity         // nil: whom the primary runs as
	// NewPrivileges lets what its workers execute gain privileges, as by a
	// set-user-ID program. Without it they have no_new_privs.
	NewPrivileges bool

	ReadyTimeout time.Duration // 30 s
	MinReady     time.Duration // 0: a successor must stay ready so long before the next
	Canary       time.Duration // 500 ms: the same for the first; negative: none
	LameDuck     time.Duration // 2 s: grace for idle connections; negative: none
	DrainTimeout time.Duration // 30 s, then TERM
	KillAfter    time.Duration // 5 s after TERM, then KILL

	MaxRestarts  int           // 5 …
	Within       time.Duration // … in 60 s, then dead
	BackoffMin   time.Duration // 100 ms × 2 …
	BackoffMax   time.Duration // … to 30 s
	BackoffReset time.Duration // 10 s ready

	// MaxSurge is how many successors a reload prepares at once beside the
	// workers that serve. NoSurge is for workers that must not overlap: each
	// retires first and has gone before its successor is started, as in every
	// other change of the slot, at most MaxUnavailable at a time.
	MaxSurge       int           // 1
	MaxUnavailable int           // 1
	MaxWorkers     int           // 512
	Beat           time.Duration // 1 s
	LostAfter      time.Duration // 15 s without a beat
	// OrphanAfter is how long a worker waits for the next primary under
	// OrphanDrain.
	OrphanAfter time.Duration // 1 min
	// MaxOutgoing, when above 0, lets retired processes stay as long as they
	// wish (the shell's sessions), so many per slot; the oldest is ended when
	// there is one more. A job does not wait for them.
	MaxOutgoing int
}

// NoSurge as a MaxSurge lets a worker retire before its successor is started.
const NoSurge = -1

// Defaults of a [PoolSpec].
const (
	DefaultReadyTimeout   = 30 * time.Second
	DefaultCanary         = 500 * time.Millisecond
	DefaultLameDuck       = 2 * time.Second
	DefaultDrainTimeout   = 30 * time.Second
	DefaultKillAfter      = 5 * time.Second
	DefaultMaxRestarts    = 5
	DefaultWithin         = time.Minute
	DefaultBackoffMin     = 100 * time.Millisecond
	DefaultBackoffMax     = 30 * time.Second
	DefaultBackoffReset   = 10 * time.Second
	DefaultMaxSurge       = 1
	DefaultMaxUnavailable = 1
	DefaultMaxWorkers     = 512
	DefaultBeat           = time.Second
	DefaultLostAfter      = 15 * time.Second
	DefaultCallTimeout    = 5 * time.Second
)

// WithDefaults returns s with its zero fields filled.
func (s PoolSpec) WithDefaults() PoolSpec {
	set(&s.Share, ShareSlots)
	set(&s.Policy, Always)
	set(&s.Orphan, OrphanServe)
	set(&s.OrphanAfter, time.Minute)
	set(&s.ReadyTimeout, DefaultReadyTimeout)
	set(&s.Canary, DefaultCanary)
	set(&s.LameDuck, DefaultLameDuck)
	set(&s.DrainTimeout, DefaultDrainTimeout)
	set(&s.KillAfter, DefaultKillAfter)
	set(&s.MaxRestarts, DefaultMaxRestarts)
	set(&s.Within, DefaultWithin)
	set(&s.BackoffMin, DefaultBackoffMin)
	set(&s.BackoffMax, DefaultBackoffMax)
	set(&s.BackoffReset, DefaultBackoffReset)
	set(&s.MaxSurge, DefaultMaxSurge)
	set(&s.MaxUnavailable, DefaultMaxUnavailable)
	set(&s.MaxWorkers, DefaultMaxWorkers)
	set(&s.Beat, DefaultBeat)
	set(&s.LostAfter, DefaultLostAfter)
	s.Canary = max(s.Canary, 0)
	s.LameDuck = max(s.LameDuck, 0)
	return s
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
