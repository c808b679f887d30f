package audit

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Record is one line of the audit log.
type Record struct {
	Time    time.Time `json:"time"`
	Event   Event     `json:"event"`
	Via     string    `json:"via"`               // ssh, tls or ctl
	Session string    `json:"session,omitempty"` // one per ssh channel, TLS connection or local call
	User    string    `json:"user,omitempty"`    // quoted as Go does when it is not plain text
	Key     string    `json:"key,omitempty"`     // fingerprint, SHA256:…
	From    string    `json:"from,omitempty"`    // address of the peer
	Role    string    `json:"role,omitempty"`
	Argv    []string  `json:"argv,omitempty"`
	// Line is what was typed, quoted, when it could not be parsed into Argv.
	Line string `json:"line,omitempty"`
	// Asked is what the user asked for, quoted, when his key runs another
	// command in its place.
	Asked    string   `json:"asked,omitempty"`
	Status   *int     `json:"status,omitempty"`
	Duration *float64 `json:"duration,omitempty"` // seconds
	Reason   string   `json:"reason,omitempty"`
}

// Event is what a record tells of.
type Event string

// The events of the audit log.
const (
	EventLogin   Event = "login"
	EventRefused Event = "refused" // a login, or a connection
	EventStart   Event = "start"   // of a command; written before it runs
	EventEnd     Event = "end"     // of a command
	EventDenied  Event = "denied"  // a command that the role may not run
	EventInvalid Event = "invalid" // a line that is no command
	EventDropped Event = "dropped" // a session that was ended by us
)

// stranger reports whether the record tells of somebody who has not logged in.
func (r Record) stranger() bool { return r.Event == EventRefused }

// MaxText bounds what a peer can put into one field of the log. A user name may
// be 256 kB long on the wire.
const MaxText = 256

// Quote returns a name as it is when it is short and plain, else quoted in
// ASCII, so that nobody writes lines or escape sequences into a log by logging
// in.
func Quote(s string) string {
	plain := len(s) <= MaxText && utf8.ValidString(s)
	for _, r := range s {
		plain = plain && strconv.IsPrint(r) && r != '"' && r != '\\'
	}
	if plain {
		return s
	}
	if len(s) > MaxText {
		return strconv.QuoteToASCII(s[:MaxText]) + "…"
	}
	return strconv.QuoteToASCII(s)
}

// maxArgv bounds the words of a command in a record, as the admin port bounds
// them; those of a local caller may be 2 MiB long.
const maxArgv = 8 << 10

// clip leaves out what is too much of a command's words, and says so.
func clip(argv []string) []string {
	room := maxArgv
	for i, word := range argv {
		if room -= len(word); room < 0 {
			return append(append([]string(nil), argv[:i]...), "…")
		}
	}
	return argv
}
