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
