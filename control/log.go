package control

import "time"

// LogQuery selects lines.
type LogQuery struct {
	Worker string // only this worker's; empty: all
	Lines  int    // at most so many of the kept ones; 0: 100, -1: none
	Follow bool   // go on with new ones until ctx ends
	After  Cursor // only what came after it; zero: anything
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

// Cursor is a place in the stream of lines or events. Seq rises by one within
// an epoch; each primary that had to begin anew has its own epoch.
type Cursor struct {
	Epoch uint64 `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// TerminalQuery shows the terminal of a worker ([PoolSpec.TTY]) from its last part on,
// until its process ends. The first element comes at once, also without data.
type TerminalQuery struct {
	ID string
	// Incarnation is the process (ErrConflict if it has gone); 0: the one that runs.
	Incarnation uint64
	// Typist is a name that the caller makes up for itself, by which it may ask
	// [TerminalRequest] for as long as it looks; empty: it only looks. There is one at
	// a time (ErrBusy).
	Typist string
	After  Cursor // only what came after it, if it is still kept
}

// TerminalOutput is a part of what a terminal has shown, with its escape sequences.
type TerminalOutput struct {
	Cursor             // the place behind Data, in bytes
	Incarnation uint64 `json:"incarnation"`
	PID         int    `json:"pid"`
	Data        []byte `json:"data"`
	// Skipped is how many bytes before this the reader was too slow for.
	Skipped int `json:"skipped,omitempty"`
}
