package control

import "time"

// ScaleRequest changes the target of a pool to an absolute number. For a relative
// one, such as "+2", the caller adds to the target that it saw and states that in
// Seen: of two such requests at the same time the second is refused.
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
	// Watch is how long the job watches the pool after the last replacement: it
	// rolls back if the new generation crashes more often in that time than the
	// one before did. 0: as configured; NoWatch: not at all.
	Watch time.Duration
	// Update runs the updates of these pools first, see [Program].
	Update bool
	Keep   bool // leave changed slots as they are when a later one fails, unless the address has changed, too
}

// ConfigRequest takes in what the file of the configuration says now, as a whole or
// not at all: pools begin, change and end.
type ConfigRequest struct{}

// RollbackRequest starts a new generation of a pool with the content of an
// earlier one.
type RollbackRequest struct {
	Pool       string // empty: the only pool of the application
	Generation int    // 0: the last good one that is older than the content of the current one
}

// RestartRequest replaces the primary's own code and then reloads every pool,
// the shell last.
type RestartRequest struct {
	Primary bool // only the primary's own code, by exec in place
}

// StopRequest ends everything: the pools, the shell last, then the primary.
type StopRequest struct{}

// ReviveRequest starts dead or stopped workers again; with no IDs, all dead
// ones of the application's pools.
type ReviveRequest struct{ IDs []string }

// RestartWorkerRequest replaces the process of one slot by a new one of the same
// generation.
type RestartWorkerRequest struct{ ID string }

// StopWorkerRequest ends one worker; its slot stays stopped until it is revived.
type StopWorkerRequest struct{ ID string }

// SignalRequest sends a signal to the process group of one worker. It is done at
// once, and makes no job.
type SignalRequest struct {
	ID          string
	Signal      string // "HUP" or "SIGHUP"
	Incarnation uint64 // refuse (ErrConflict) unless this one runs; 0: whichever runs
}

// TerminalRequest types at the terminal of a worker, in the name of the Typist of a
// [TerminalQuery]. It is done at once, and makes no job. A program that does not read
// within a second loses the rest (ErrTimeout).
type TerminalRequest struct {
	ID            string
	Incarnation   uint64 // refuse (ErrConflict) unless this one runs; 0: whichever runs
	Typist        string
	Data          []byte // keys
	Columns, Rows int    // of the screen; 0: as they are
}

// FollowRequest changes nothing: it tells how a job goes on that was accepted
// before.
type FollowRequest struct {
	ID string `cbor:"id"`
}

// CancelRequest stops a job after the current worker.
type CancelRequest struct{ ID string }

func (ScaleRequest) change()         {}
func (ReloadRequest) change()        {}
func (ConfigRequest) change()        {}
func (RollbackRequest) change()      {}
func (RestartRequest) change()       {}
func (StopRequest) change()          {}
func (ReviveRequest) change()        {}
func (RestartWorkerRequest) change() {}
func (StopWorkerRequest) change()    {}
func (SignalRequest) change()        {}
func (TerminalRequest) change()      {}
func (FollowRequest) change()        {}
func (CancelRequest) change()        {}
