package control

import "time"

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
	Stopped  State = "stopped"  // by an operator
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
	Successor   *Process      `json:"successor"`        // being prepared, during a reload
	Outgoing    []Process     `json:"outgoing"`         // retired, still finishing
	Silent      bool          `json:"silent"`           // up, but has missed beats
	Status      string        `json:"status,omitempty"` // what the worker says of itself
	// Stored is how many descriptors its processes have left to the next one.
	Stored int `json:"stored,omitempty"`
	// Reloading is since when it takes in its configuration anew, as it has said
	// itself (RELOADING=1 of sd_notify(3)); zero: it does not.
	Reloading time.Time `json:"reloading,omitzero"`
	Next      time.Time `json:"next,omitzero"` // when its schedule starts it
	// Private is the address at which it is reached under [ShareRelay], as
	// "127.0.0.1:20123".
	Private string `json:"private,omitempty"`
	// Health is what its probe says; empty: it has none, or that has said nothing.
	Health  Health `json:"health,omitempty"`
	Failure string `json:"failure,omitempty"` // why its probe failed last
}

// Process is one process of a slot beside the current one.
type Process struct {
	PID         int    `json:"pid"`
	Generation  int    `json:"generation"`
	Incarnation uint64 `json:"incarnation"`
	State       State  `json:"state"`
	Connections int    `json:"connections"`
	Private     string `json:"private,omitempty"` // see [WorkerInfo.Private]
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
	Asked       bool          `json:"asked,omitempty"`   // it was told to end, and did in time
	Unknown     bool          `json:"unknown,omitempty"` // an earlier primary had started it, and nobody could tell how it ended
	Uptime      time.Duration `json:"-" cbor:"uptime"`   // in JSON: "uptime", seconds
	Reason      string        `json:"reason,omitempty"`
	// Cause is the line by which the program itself said why, such as that of a
	// panic; else the last one that it wrote. Empty: it was asked to end.
	Cause string   `json:"cause,omitempty"`
	Lines []string `json:"lines,omitempty"` // the last ones it wrote
}
