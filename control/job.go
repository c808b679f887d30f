package control

import "time"

// Job is long work that the primary does on request. It goes on when the one
// who asked has gone.
type Job struct {
	ID    string    `json:"id"`
	Kind  string    `json:"kind"` // reload, restart, scale, stop, revive, …
	What  string    `json:"what"` // "web", "web to 8"
	Pools []string  `json:"pools"`
	Owner string    `json:"owner"` // who asked
	Since time.Time `json:"since"`
	Ended time.Time `json:"ended,omitzero"` // zero while it runs
	State JobState  `json:"state"`
	Done  int       `json:"done"`  // workers done
	Total int       `json:"total"` // workers to do
	Error string    `json:"error,omitempty"`
}

// JobState is where a job stands.
type JobState string

// The states of a job.
const (
	JobRunning   JobState = "running"
	JobOK        JobState = "ok"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled"
)

// Drained is what became of the connections of workers that a job ended. Each
// is in one of the numbers.
type Drained struct {
	Pool     string `json:"pool"`
	Moved    int    `json:"moved"`    // go on in another worker
	Finished int    `json:"finished"` // served to their end
	Told     int    `json:"told"`     // idle or taken over by a handler, told to go
	Cut      int    `json:"cut"`      // at the deadline
}

// JobEvent is one step of a job.
type JobEvent struct {
	Seq        int    `json:"-" cbor:"seq"`
	Event      string `json:"event"` // replaced, ready, failed, rolled_back, stopped, exited, cut, drained, next, note, done
	Worker     string `json:"worker,omitempty"`
	PID        int    `json:"pid,omitempty"`
	Generation int    `json:"generation,omitempty"`
	OK         bool   `json:"ok"`
	Error      string `json:"error,omitempty"`
	// Text is the event in one line for a person: "worker web/0 replaced: pid
	// 4801, generation 2 (1/4)".
	Text string `json:"-" cbor:"text"`
	// Drained is of the event drained: one for each pool at the end of the job.
	*Drained
	// Lines are the last lines of a worker that failed.
	Lines []string `json:"lines,omitempty"`
}

// LogQuery selects lines.
type LogQuery struct {
	Worker string // only this worker's; empty: all
	Lines  int    // at most so many of the kept ones; 0: 100, -1: none
	Follow bool   // go on with new ones until ctx ends
	After  Cursor // only what came after it; zero: anything
}

// EventQuery selects events.
type EventQuery struct {
	Lines  int // at most so many of the kept ones; 0: 100, -1: none
	Follow bool
	After  Cursor
}

// Cursor is a place in the stream of lines or events. Seq rises by one within
// an epoch; each primary that had to begin anew has its own epoch.
type Cursor struct {
	Epoch uint64 `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// LogLine is one line that a worker wrote.
type LogLine struct {
	Cursor
	Time        time.Time `json:"time"`
	Worker      string    `json:"worker"`
	Incarnation uint64    `json:"incarnation"`
	Text        string    `json:"text"`
	// Skipped is how many lines before this one the reader was too slow for.
	Skipped int `json:"skipped,omitempty"`
}

// Event is something that happened in the cluster.
type Event struct {
	Cursor
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"` // worker.started, worker.ready, worker.exited, worker.dead, job.started, job.ended, …
	Worker  string    `json:"worker,omitempty"`
	PID     int       `json:"pid,omitempty"`
	Job     string    `json:"job,omitempty"`
	User    string    `json:"user,omitempty"` // who asked for it
	Text    string    `json:"text"`
	Skipped int       `json:"skipped,omitempty"`
}
