package control

import "time"

// GenerationInfo is one version of a pool's code.
type GenerationInfo struct {
	Pool    string    `json:"pool"`
	BuiltIn bool      `json:"built_in"`
	Number  int       `json:"number"`
	Current bool      `json:"current"`  // what the pool starts
	GivenUp bool      `json:"given_up"` // its outcome is Failed or RolledBack
	Workers int       `json:"workers"`  // slots that run it
	Since   time.Time `json:"since"`
	Path    string    `json:"path"` // of the binary, as typed
	Outcome Outcome   `json:"outcome"`
	Why     string    `json:"why,omitempty"`     // of the outcome
	Decided time.Time `json:"decided,omitzero"`  // when the outcome was
	CopyOf  int       `json:"copy_of,omitempty"` // the generation whose content a rollback took; 0: none
	// What tells builds apart: the SHA-256 of the file, the revision of its source
	// as the go command noted it ("+dirty": with changes), the time of the file.
	// Empty where that is not known.
	Digest   string    `json:"digest,omitempty"`
	Revision string    `json:"revision,omitempty"`
	FileTime time.Time `json:"file_time,omitzero"`
	// Kept is what can be started when the file has been replaced and the primary
	// has gone: KeptBinary, KeptDirectory (a script, by its path with symbolic
	// links resolved) or KeptNo.
	Kept string `json:"kept"`
}

// Outcome is what became of a generation.
type Outcome string

// The outcomes of a generation.
const (
	Undecided  Outcome = "undecided"   // it has not run in every slot of its pool yet
	Good       Outcome = "good"        // it has
	Failed     Outcome = "failed"      // a reload to it failed, or a worker of it was given up soon after
	RolledBack Outcome = "rolled_back" // the pool went back from it
)

// Verdict is the outcome of one generation, and why.
type Verdict struct {
	Generation int       `json:"generation"`
	Outcome    Outcome   `json:"outcome"`
	Why        string    `json:"why,omitempty"`
	Time       time.Time `json:"time"`
}

// What is kept of a generation.
const (
	KeptBinary    = "binary"
	KeptDirectory = "directory"
	KeptNo        = "no"
)

// PoolChanges is what a reload would change of a pool.
type PoolChanges struct {
	Pool    string `json:"pool"`    // empty: of the cluster, see [ConfigQuery]
	Workers int    `json:"workers"` // that it would replace or start, or end
	// Follows is what follows of a [ConfigQuery]: what matters most of its changes.
	Follows Follows `json:"follows,omitempty"`
	// Changes are empty when the same would be started again.
	Changes []Change `json:"changes"`
	// Update and Check are what would run before, see [Program].
	Update []string `json:"update,omitempty"`
	Check  []string `json:"check,omitempty"`
}

// Change is one difference between the current generation and the next.
type Change struct {
	// Key is "program", "command", "dir", "listen", "env.NAME" or the name of a
	// setting, as in norestart.toml.
	Key string `json:"key"`
	// From and To are the values; empty: there is none, or it is not told. Those of
	// the environment are masked.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Follows is empty but in the answer to a [ConfigQuery].
	Follows Follows `json:"follows,omitempty"`
}

// Follows is what a reload of the configuration does about a difference.
type Follows string

// What follows from a difference.
const (
	FollowsLive    Follows = "live"    // it counts at once
	FollowsReload  Follows = "reload"  // the workers of the pool are replaced by a new generation
	FollowsBegin   Follows = "begin"   // the pool is new
	FollowsEnd     Follows = "end"     // the pool ends
	FollowsRestart Follows = "restart" // it is refused: a restart takes it in
	FollowsStop    Follows = "stop"    // it is refused: only a stop and a start take it in
)
