package control

import "time"

// Spec is what a cluster is told to run, as data.
type Spec struct {
	Name  string
	Admin string // pool name of the shell, empty without one
	// Agent is the pool that keeps the sockets of those whose workers cannot;
	// empty without one.
	Agent string
	// Relay is the pool that passes connections on to those under [ShareRelay]. It has
	// their addresses, as listeners POOL.0, POOL.1 …; empty without such a pool.
	Relay string
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
	// ShareSeize is ShareSlots for programs that know only PORT: each opens a
	// private port and accepts from the socket of its slot.
	ShareSeize = "seize"
	// ShareRelay is for those, too: each process serves on a private port, and the
	// pool of [Spec.Relay] passes on to it what comes to the address of its pool.
	ShareRelay = "relay"
)

// How a program is told of its sockets beside LISTEN_FDS.
const (
	ListenNginx   = "NGINX"   // NGINX="3;4;", as nginx tells its next binary
	ListenEinhorn = "EINHORN" // EINHORN_FDS, EINHORN_FD_0 …, as Einhorn tells its workers
)

// What the workers of a pool do while there is no primary.
const (
	OrphanServe = "serve" // go on, and join the next one
	OrphanDrain = "drain" // the same, but drain and end when none has come in time
	OrphanExit  = "exit"  // drain and end at once
)

// What ends with a worker of a pool.
const (
	KillDescendants = "descendants" // all that it has started, also in sessions of their own
	KillOwnGroup    = "group"       // its process group: daemons that it has started outlive it
)

// Identity is the user and the groups that the workers of a pool run as.
type Identity struct {
	Name, Home string // for their environment; may be empty
	UID, GID   uint32
	Groups     []uint32 // all supplementary groups
}

// Program is what the workers of a pool execute, when it is another program than
// that of the primary.
type Program struct {
	// Command is the path of the program, or a name that is looked for in the
	// PATH of Env, and its arguments. It is looked up when a generation is made:
	// a symbolic link that points elsewhere is followed by a reload, and not before.
	Command []string
	Env     []string // all of it, as "K=V"
	Dir     string   // working directory, absolute
	// Update runs once when a reload is asked for with it, before the new generation
	// is made; of the same command in the same directory as the same user one runs for
	// all pools. Check runs before each new generation, a rollback excepted, in
	// what that one will have.
	Update, Check Errand
}

// Errand is a program that runs before a job replaces workers, and has to end with
// status 0: else the job has failed, and no worker was touched.
type Errand struct {
	Command []string      // as that of a [Program]; empty: there is none
	Timeout time.Duration // then it is ended, with what it has started; 0: none
}

// Protocol is how the primary and the workers of a pool understand each other.
type Protocol string

// The protocols.
const (
	ProtocolLibrary Protocol = "library" // that of package worker
	ProtocolNotify  Protocol = "notify"  // that of sd_notify(3)
	ProtocolMute    Protocol = "mute"    // none: ReadyLine and ReadyAfter tell when a worker is ready
	// ProtocolListen is none: under ShareSeize a worker is ready when it listens, under
	// ShareRelay when its private port accepts.
	ProtocolListen Protocol = "listen"
	ProtocolProbe  Protocol = "probe" // none: a worker is ready when ReadyProbe has passed
)

// PoolSpec is one pool. [PoolSpec.WithDefaults] fills zero fields as the
// comments say.
type PoolSpec struct {
	Name    string
	BuiltIn bool
	Workers int      // target at start; Auto allowed
	Listen  []string // "tcp://127.0.0.1:8080", "unix:///run/x.sock", each may begin with NAME=
	Share   string   // ShareSlots
	Grant   Grant    // GrantNone
	Orphan  string   // OrphanServe: what workers do without a primary
	Policy  Policy   // Always
	// Program is what its workers execute; nil: the program of the primary.
	Program  *Program
	Protocol Protocol          // ProtocolLibrary
	Limits   map[string]uint64 // soft and hard: nofile, nproc, as, core, fsize
	RunAs    *Identity         // nil: that of the primary
	// NewPrivileges lets what its workers execute gain privileges, as by a
	// set-user-ID program. Without it they have no_new_privs.
	NewPrivileges bool
	Umask         *int   // of a program; nil: that of the primary
	Nice          int    // of a program, see setpriority(2); 0: that of the primary
	StopSignal    string // TERM: asks a program to finish and end
	FDStoreMax    int    // descriptors that the processes of a slot may leave to the next, under ProtocolNotify
	ListenEnv     string // of a program: how it is told of its sockets beside LISTEN_FDS
	// SocketMode is the mode of its unix sockets; nil: as the umask leaves it. Their
	// owner is SocketUser and SocketGroup, by name or number; empty: the primary.
	SocketMode              *int
	SocketUser, SocketGroup string
	Nonblock                bool // the sockets of a program are not blocking
	// TTY gives each process of a program a terminal of its own as stdin, stdout and
	// stderr: see [TerminalQuery].
	TTY bool

	// DependsOn are pools that must be well before this one is first started, and that
	// are stopped after it. They form no circle.
	DependsOn []string

	// MaxAge is how long a worker serves before it is replaced, successor first, less
	// up to a tenth, so that those of a pool are not replaced at once. 0: for ever.
	MaxAge time.Duration
	// MaxMemory is how much memory a worker may have, in bytes, with all that it has
	// started and its part of what is shared (PSS). One that has had more for
	// MaxMemoryFor is replaced in the same way. 0: any.
	MaxMemory    int64
	MaxMemoryFor time.Duration // 30 s
	// MaxRequests is how many requests a worker of ProtocolLibrary serves before it
	// is replaced in the same way, less up to a tenth. 0: any number.
	MaxRequests int64

	// Schedule is when the one worker of the pool is started, each time to run to its
	// end: a line of crontab(5), "@daily" or "@every 1h", with "TZ=ZONE " before it
	// if it is not of the time zone of the machine. Empty: workers always run.
	Schedule string
	// ReloadAt is when the pool is reloaded, in the same form; empty: when somebody
	// asks for it.
	ReloadAt string

	// ReadyLine is a regular expression for the line of its output by which a worker
	// that speaks no protocol tells that it is ready.
	ReadyLine string
	// ReadyAfter is how long a worker has run when it counts as ready, if it speaks no
	// protocol and there is no ReadyLine.
	ReadyAfter time.Duration

	// ReadyProbe tells when a worker is ready, under ProtocolProbe.
	ReadyProbe *Probe
	// Live tells whether a ready worker still works; nil: it is not asked.
	Live *Probe

	ReadyTimeout time.Duration // 30 s
	MinReady     time.Duration // 0: a successor must stay ready so long before the next
	Canary       time.Duration // 500 ms: the same for the first; negative: none
	Watch        time.Duration // 0: how long a reload watches the pool after the last replacement
	// LameDuck is the grace for idle connections, 2 s. Of a program it is how long
	// new connections go to other slots before its stop signal, 100 ms. Negative:
	// none.
	LameDuck     time.Duration
	DrainTimeout time.Duration // 30 s, then TERM
	KillAfter    time.Duration // 5 s after TERM, then KILL
	KillGroup    string        // KillDescendants: what ends with a worker

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

// NoWatch as the Watch of a reload ends it with the last replacement.
const NoWatch = -1

// Defaults of a [PoolSpec] that others need, too, and of a [CallRequest].
const (
	DefaultLameDuck     = 2 * time.Second
	DefaultSteer        = 100 * time.Millisecond // the LameDuck of a program
	DefaultDrainTimeout = 30 * time.Second
	DefaultKillAfter    = 5 * time.Second
	DefaultFDStoreMax   = 128 // of a program under ProtocolNotify
	DefaultMaxRestarts  = 5
	DefaultWithin       = time.Minute
	DefaultMaxWorkers   = 512
	DefaultMaxMemoryFor = 30 * time.Second
	DefaultBeat         = time.Second
	DefaultLostAfter    = 15 * time.Second
	DefaultCallTimeout  = 5 * time.Second
)

// WithDefaults returns s with its zero fields filled.
func (s PoolSpec) WithDefaults() PoolSpec {
	set(&s.Share, ShareSlots)
	set(&s.Policy, Always)
	set(&s.Protocol, ProtocolLibrary)
	set(&s.Orphan, OrphanServe)
	set(&s.KillGroup, KillDescendants)
	set(&s.OrphanAfter, time.Minute)
	set(&s.ReadyTimeout, 30*time.Second)
	set(&s.Canary, 500*time.Millisecond)
	if s.Protocol != ProtocolLibrary {
		set(&s.LameDuck, DefaultSteer)
	}
	set(&s.LameDuck, DefaultLameDuck)
	set(&s.StopSignal, "TERM")
	set(&s.DrainTimeout, DefaultDrainTimeout)
	set(&s.KillAfter, DefaultKillAfter)
	set(&s.MaxRestarts, DefaultMaxRestarts)
	set(&s.Within, DefaultWithin)
	set(&s.BackoffMin, 100*time.Millisecond)
	set(&s.BackoffMax, 30*time.Second)
	set(&s.BackoffReset, 10*time.Second)
	set(&s.MaxMemoryFor, DefaultMaxMemoryFor)
	set(&s.MaxSurge, 1)
	set(&s.MaxUnavailable, 1)
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
