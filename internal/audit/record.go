package audit

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
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
	// Line is the typed line, quoted, when it could not be parsed into Argv.
	Line string `json:"line,omitempty"`
	// Asked is the command that the user asked for, quoted, when the key runs
	// another one in its place.
	Asked    string   `json:"asked,omitempty"`
	Status   *int     `json:"status,omitempty"`
	Duration *float64 `json:"duration,omitempty"` // seconds
	Reason   string   `json:"reason,omitempty"`
	Count    int      `json:"count,omitempty"` // of the records that one of [EventMore] stands for
	// Needs is the least role that may run the command.
	Needs string `json:"needs,omitempty"`
}

// Event is the kind of a record.
type Event string

// The events of the audit log.
const (
	EventLogin   Event = "login"
	EventRefused Event = "refused" // a login, or a connection
	EventStart   Event = "start"   // of a command; written before it runs
	EventEnd     Event = "end"     // of a command
	EventDenied  Event = "denied"  // a command that the role may not run
	EventInvalid Event = "invalid" // a line that is no command
	EventDropped Event = "dropped" // a session that the server ended
	EventMore    Event = "more"    // records that were left out: their user wrote too many
)

// class is the importance of a record when there is no room for all.
type class int

const (
	looks  class = iota // what viewers and operators looked at, and lines without a command
	access              // logins, refused logins, denied commands, changes by operators, what admins looked at
	admins              // changes by admins
	classes
)

// Names of the roles in a record.
const (
	viewer   = "viewer"
	operator = "operator"
	admin    = "admin"
)

func (r Record) class() class {
	switch {
	case r.Role == admin && (r.Event == EventStart || r.Event == EventEnd) && r.Needs != viewer:
		return admins // also a record of an earlier version without Needs
	case r.Role == admin, r.Role == operator && r.Needs == operator:
		return access
	case r.Event == EventStart, r.Event == EventEnd, r.Event == EventInvalid:
		return looks
	}
	return access
}

// Spared reports whether a record is written regardless of how many its user
// writes: all records of admins, and changes by operators.
func (r Record) Spared() bool {
	return r.Role == admin || r.Role == operator && r.Needs == operator && r.Event != EventDenied
}

// Size is the approximate length of a record.
func (r Record) Size() int {
	n := 200 + len(r.User) + len(r.Key) + len(r.Line) + len(r.Asked) + len(r.Reason)
	for _, word := range r.Argv {
		n += len(word) + 3
	}
	return n
}

// stranger reports whether the record is from before a login.
func (r Record) stranger() bool { return r.Event == EventRefused }

// MaxText bounds the text from a peer in one field of the log. A user name may
// have 256 kB on the wire.
const MaxText = 256

// Quote returns a name as it is when it is short and plain, else quoted in
// ASCII. So a user name cannot put lines or escape sequences into a log.
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

// Cut returns a text as it is when it is short, else its beginning with its
// length and its SHA-256, by which it can be recognized. A text that was cut is
// short.
func Cut(s string) string {
	if len(s) <= MaxText+maxTag {
		return s
	}
	return strings.ToValidUTF8(s[:MaxText], "") + "… " + tag(s)
}

// QuoteCut is [Cut] for bytes that may not be text: quoted in ASCII.
func QuoteCut(s string) string {
	if len(s) <= MaxText {
		return strconv.QuoteToASCII(s)
	}
	return strconv.QuoteToASCII(s[:MaxText]) + "… " + tag(s)
}

// maxTag bounds the text that [Cut] adds.
const maxTag = 128

func tag(s string) string {
	return fmt.Sprintf("(%d bytes, sha256 %x)", len(s), sha256.Sum256([]byte(s)))
}

// maxArgv bounds the words of a command in a record. A command at the admin
// port may have 8 KiB, a local one 2 MiB.
const maxArgv = 1 << 10

// Clip returns the words of a command for a record: each is cut, and there are
// at most so many.
func Clip(argv []string) []string { return clip(argv, maxArgv) }

func clip(argv []string, room int) (clipped []string) {
	for i, word := range argv {
		cut := Cut(word)
		if room -= len(cut) + 1; room < 0 {
			return append(clipped, fmt.Sprintf("… %d more words %s", len(argv)-i, tag(strings.Join(argv[i:], "\x00"))))
		}
		clipped = append(clipped, cut)
	}
	return clipped
}

// encode returns a record as a line of JSON. It escapes what a terminal would not
// show; encoding/json escapes only control characters.
func encode(r Record) ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	line := make([]byte, 0, len(text)+1)
	for _, c := range string(text) { // valid UTF-8: encoding/json sees to it
		switch {
		case !hidden(c):
			line = utf8.AppendRune(line, c)
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			line = fmt.Appendf(line, `\u%04x\u%04x`, high, low)
		default:
			line = fmt.Appendf(line, `\u%04x`, c)
		}
	}
	return append(line, '\n'), nil
}

// hidden reports whether c leaves no mark of its own, or changes what stands
// beside it.
func hidden(c rune) bool {
	return !strconv.IsPrint(c) || unicode.In(c, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}
