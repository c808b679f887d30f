package control

import (
	"fmt"
	"time"
)

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
	Done       int      `json:"done"`                // their work is done: policy never, exit status 0
	Silent     int      `json:"silent"`              // ready ones that have missed beats
	Unhealthy  int      `json:"unhealthy,omitempty"` // ready ones whose probe has failed too often
	// Reloading are ready ones that take in their configuration anew, Overdue those of
	// them that have not said within the ready_timeout that they are done.
	Reloading  int `json:"reloading,omitempty"`
	Overdue    int `json:"overdue,omitempty"`
	Generation int `json:"generation"`
	// Crashes are those of the workers that were ready; nil: none lately.
	Crashes *Crashes `json:"crashes,omitempty"`
	// Next is when the schedule of the pool starts its worker next, NextReload when
	// the pool is reloaded next; zero: not by the clock.
	Next       time.Time `json:"next,omitzero"`
	NextReload time.Time `json:"next_reload,omitzero"`
	// LastFailure is why the pool is not as it should be, in one line; empty
	// when it is.
	LastFailure string `json:"last_failure,omitempty"`
	// Differs is what a reload would change beside the processes: "binary",
	// "arguments", "environment (NAME, …)", "directory", "address", "settings".
	Differs []string `json:"differs,omitempty"`
	// Tried is what became of an earlier generation with the same content as a
	// reload would start now, if it failed or was rolled back; else nil.
	Tried *Verdict `json:"tried,omitempty"`
	// Failing is what became of the current generation, if it failed; else nil.
	Failing *Verdict `json:"failing,omitempty"`
	// Back is the generation that a rollback goes to; 0: there is none.
	Back int `json:"back,omitempty"`
}

// CrashesLast is how long crashes are told after the last of them.
const CrashesLast = 10 * time.Minute

// Crashes are the ends of ready workers that nobody asked for, until
// [CrashesLast] passes without one. A reload, and a revive or restart of the
// worker, begins the count anew.
type Crashes struct {
	Count  int       `json:"count"`
	Since  time.Time `json:"since"` // the first
	Last   time.Time `json:"last"`
	Worker string    `json:"worker"`          // the last
	Cause  string    `json:"cause,omitempty"` // of the last: see [Exit.Cause]
}

// The methods of PoolStatus are the one definition of "well": status, its JSON and
// the greeting use them.

// Well reports whether the cluster needs no attention.
func (s Status) Well() bool {
	for _, p := range s.Pools {
		if !p.Well() {
			return false
		}
	}
	return s.Primary != nil
}

// Well reports whether the pool needs no attention.
func (p PoolStatus) Well() bool {
	return p.Short() == 0 && p.Silent == 0 && p.Unhealthy == 0 && p.Overdue == 0 && !p.CrashesAgain() && !p.Off()
}

// Short is how many workers should be ready and are not, including dead ones.
// Stopped and done workers are as they should be.
func (p PoolStatus) Short() int { return max(0, p.Target-p.Ready-p.Stopped-p.Done) }

// Readiness tells in a few words how many of the workers are ready. Those that are
// done are not counted among them: they have nothing to be ready for.
func (p PoolStatus) Readiness() string {
	text := fmt.Sprintf("%d of %d workers ready", p.Ready, p.Target-p.Done)
	if p.Done > 0 && p.Done == p.Target {
		return fmt.Sprintf("%d of %d workers done", p.Done, p.Target)
	}
	for _, more := range []struct {
		n    int
		word string
	}{{p.Done, "done"}, {p.Stopped, "stopped"}, {p.Reloading, "reloading"}} {
		if more.n > 0 {
			text += fmt.Sprintf(", %d %s", more.n, more.word)
		}
	}
	return text
}

// CrashesAgain reports whether workers crash repeatedly although each is
// replaced. A single crash does not count.
func (p PoolStatus) CrashesAgain() bool { return p.Crashes != nil && p.Crashes.Count > 1 }

// Off reports whether a pool that should serve is switched off: scaled to 0, or
// each of its workers stopped by an operator.
func (p PoolStatus) Off() bool {
	return !p.BuiltIn && p.Configured != 0 && p.Target == p.Stopped
}
