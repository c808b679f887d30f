package control

import (
	"context"
	"time"
)

// Control observes and changes one cluster.
//
// All methods may be called from any goroutine. They return when the cluster
// has answered or ctx is done, whichever is first; an error that the cluster
// gave is an [*Error], to be matched with errors.Is against the sentinels of
// this package. Callbacks (fn) run on the caller's goroutine, one at a time,
// and an error that they return ends the call and is returned as it is.
type Control interface {
	// Status tells how the cluster is as a whole.
	Status(ctx context.Context) (Status, error)
	// Workers tells how each slot is, built-in pools too, in the order of
	// pools and slots.
	Workers(ctx context.Context) ([]WorkerInfo, error)
	// Worker tells all about one worker ("web/2"), its last exits and last
	// lines too.
	Worker(ctx context.Context, id string) (WorkerDetail, error)

	// Scale changes the target of one pool.
	Scale(ctx context.Context, r ScaleRequest) (Job, error)
	// Reload starts a new generation of pools and cycles their workers.
	Reload(ctx context.Context, r ReloadRequest) (Job, error)
	// Rollback starts a new generation of a pool with the content of an
	// earlier one.
	Rollback(ctx context.Context, r RollbackRequest) (Job, error)
	// Generations lists the versions of each pool that are kept, oldest first.
	Generations(ctx context.Context) ([]GenerationInfo, error)
	// Restart replaces the primary's own code and then reloads every pool,
	// the shell last. It returns once accepted.
	Restart(ctx context.Context, r RestartRequest) (Job, error)
	// Stop ends everything: the pools, the shell last, then the primary.
	Stop(ctx context.Context, r StopRequest) (Job, error)
	// Revive starts dead or stopped workers again; with no IDs, all dead
	// ones of the application's pools.
	Revive(ctx context.Context, r ReviveRequest) (Job, error)
	// RestartWorker replaces the process of one slot by a new one of the same
	// generation.
	RestartWorker(ctx context.Context, id string) (Job, error)
	// StopWorker ends one worker; its slot stays stopped until it is revived.
	StopWorker(ctx context.Context, id string) (Job, error)
	// Signal sends a signal to the process group of one worker.
	Signal(ctx context.Context, r SignalRequest) error

	// Jobs lists the running jobs and the last ones that ended.
	Jobs(ctx context.Context) ([]Job, error)
	// FollowJob calls fn for each event of a job from its beginning and
	// returns how the job ended. A job whose primary is replaced while it is
	// followed is not an error of the job: ErrUnavailable is returned.
	//
	// A worker that asked for the reload of its own pool is replaced last. When
	// all others are, it gets the event "next" and has a moment to answer whoever
	// it asked for: an error of fn tells that it has. Else the job is returned
	// then, still running.
	FollowJob(ctx context.Context, id string, fn func(JobEvent) error) (Job, error)
	// CancelJob stops a job after the worker in hand.
	CancelJob(ctx context.Context, id string) (Job, error)

	// Log calls fn for each line that the workers wrote, oldest first.
	Log(ctx context.Context, q LogQuery, fn func(LogLine) error) error
	// Events calls fn for each event of the cluster, oldest first.
	Events(ctx context.Context, q EventQuery, fn func(Event) error) error

	// Call asks every ready worker of a pool and calls fn with each answer or
	// failure as it comes. It returns when all have answered or failed.
	Call(ctx context.Context, r CallRequest, fn func(CallReply) error) error
	// Spec tells what the cluster was told to run.
	Spec(ctx context.Context) (Spec, error)
}

// Status is the state of a cluster as a whole.
type Status struct {
	Name    string       `json:"name"`
	Version string       `json:"-" cbor:"version"` // of norestart
	Admin   string       `json:"admin"`            // address of the admin port, empty without a shell
	Primary *Primary     `json:"primary"`
	Pools   []PoolStatus `json:"pools"`
	Jobs    []Job        `json:"jobs"` // the running ones
}

// Primary is the primary process.
type Primary struct {
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// PoolStatus is the state of one pool.
type PoolStatus struct {
	Name       string   `json:"name"`
	BuiltIn    bool     `json:"built_in"`
	Listen     []string `json:"listen"` // as bound: port 0 is replaced by the port in use
	Share      string   `json:"share"`  // how the pool's workers share their listeners: slots or one
	Target     int      `json:"target"`
	Configured int      `json:"configured"`
	Ready      int      `json:"ready"` // slots with a ready worker
	Dead       int      `json:"dead"`
	Stopped    int      `json:"stopped"`
	Silent     int      `json:"silent"` // ready ones that have missed beats
	Generation int      `json:"generation"`
	// LastFailure is why the pool is not as it should be, in one line; empty
	// when it is.
	LastFailure string `json:"last_failure,omitempty"`
	// Differs is what a reload would change beside the processes: "binary",
	// "arguments", "environment (NAME, …)", "directory", "address", "settings".
	Differs []string `json:"differs,omitempty"`
}

// State is the state of a slot.
type State string

// The states of a slot. A slot whose process is starting is up but not ready.
const (
	Starting State = "starting"
	Ready    State = "ready"
	Draining State = "draining" // its process finishes what it has accepted
	Exited   State = "exited"   // empty for a moment, or scaled away
	Backoff  State = "backoff"  // waits before it is started again
	Dead     State = "dead"     // given up: failed too often, or an exit that its policy does not restart
	Stopped  State = "stopped"  // by the operator's wish
	Done     State = "done"     // policy never, exit 0
)

// WorkerInfo is the state of one slot.
type WorkerInfo struct {
	ID          string        `json:"id"` // POOL/SLOT
	PID         int           `json:"pid"`
	Pool        string        `json:"pool"`
	BuiltIn     bool          `json:"built_in"`
	State       State         `json:"state"`
	Generation  int           `json:"generation"`
	Incarnation uint64        `json:"incarnation"`
	Since       time.Time     `json:"-" cbor:"since"`
	Up          time.Duration `json:"-" cbor:"up"` // in JSON: "up", seconds
	Restarts    int           `json:"restarts"`
	CPU         time.Duration `json:"-" cbor:"cpu"` // in JSON: "cpu", seconds
	RSS         int64         `json:"rss"`          // bytes
	Connections int           `json:"connections"`
	Requests    int64         `json:"requests"`
	Hijacked    int           `json:"hijacked"` // of the connections: taken over by handlers, as by websocket
	LastExit    *Exit         `json:"last_exit"`
	Successor   *Process      `json:"successor"` // being prepared, during a reload
	Outgoing    []Process     `json:"outgoing"`  // retired, still finishing
	Silent      bool          `json:"silent"`    // up, but has missed beats
}

// Process is one process of a slot beside the current one.
type Process struct {
	PID         int    `json:"pid"`
	Generation  int    `json:"generation"`
	Incarnation uint64 `json:"incarnation"`
	State       State  `json:"state"`
	Connections int    `json:"connections"`
	// Cut is when it is ended, whatever it does; zero: never, or not known.
	Cut time.Time `json:"cut,omitzero"`
}

// WorkerDetail is all about one worker.
type WorkerDetail struct {
	WorkerInfo
	Exits []Exit   `json:"exits"` // the last five, newest first
	Lines []string `json:"lines"` // the last lines that it wrote
}

// Exit is how a process ended.
type Exit struct {
	Time        time.Time     `json:"time"`
	PID         int           `json:"pid"`
	Generation  int           `json:"generation"`
	Incarnation uint64        `json:"incarnation"`
	Code        int           `json:"code"`             // -1 when a signal ended it or it is unknown
	Signal      string        `json:"signal,omitempty"` // "SIGKILL"
	OOM         bool          `json:"oom,omitempty"`
	Unknown     bool          `json:"unknown,omitempty"` // an earlier primary had started it, and nobody could tell how it ended
	Uptime      time.Duration `json:"-" cbor:"uptime"`   // in JSON: "uptime", seconds
	Reason      string        `json:"reason,omitempty"`
	Lines       []string      `json:"lines,omitempty"` // the last ones it wrote
}

// ScaleRequest changes the target of a pool. To is absolute; who was asked for
// "+2" adds to what was seen and states it in Seen, so that two of them at the
// same time do not add up unseen.
type ScaleRequest struct {
	Pool string
	To   int  // the new target, or Auto
	Seen *int // refuse (ErrConflict) unless this is the target now
}

// Auto as a target means as many workers as the machine runs goroutines at
// once (GOMAXPROCS of the primary).
const Auto = -1

// ReloadRequest starts a new generation of the named pools; none named means
// all pools of the application.
type ReloadRequest struct {
	Pools    []string
	Timeout  time.Duration // for each worker to become ready; 0: as configured
	MaxSurge int           // workers replaced at once; 0: as configured; NoSurge: each retires first
	Keep     bool          // leave changed slots as they are when a later one fails, unless the address has changed, too
}

// RollbackRequest starts an earlier version again.
type RollbackRequest struct {
	Pool       string // empty: the only pool of the application
	Generation int    // 0: the one before the current
}

// GenerationInfo is one version of a pool's code.
type GenerationInfo struct {
	Pool    string    `json:"pool"`
	BuiltIn bool      `json:"built_in"`
	Number  int       `json:"number"`
	Current bool      `json:"current"`  // what the pool starts
	GivenUp bool      `json:"given_up"` // a reload to it failed
	Workers int       `json:"workers"`  // slots that run it
	Since   time.Time `json:"since"`
	Path    string    `json:"path"` // of the binary, as typed
	// Kept is what of it lasts when its file has been replaced and the
	// primary has gone: KeptBinary or KeptNo.
	Kept string `json:"kept"`
}

// What is kept of a generation.
const (
	KeptBinary = "binary"
	KeptNo     = "no"
)

// RestartRequest replaces code everywhere.
type RestartRequest struct {
	Primary bool // only the primary's own code, by exec in place
}

// StopRequest ends the cluster.
type StopRequest struct{}

// ReviveRequest starts dead or stopped workers again.
type ReviveRequest struct{ IDs []string }

// SignalRequest sends a signal to one worker.
type SignalRequest struct {
	ID          string
	Signal      string // "HUP" or "SIGHUP"
	Incarnation uint64 // refuse (ErrConflict) unless this one runs; 0: whichever runs
}

// CallRequest asks every ready worker of a pool.
type CallRequest struct {
	Pool    string
	Handler string
	Args    []string
	Timeout time.Duration // 0: 5 s
}

// CallReply is one worker's answer to a call.
type CallReply struct {
	Worker string
	Data   []byte
	Error  string // empty: it answered
}
