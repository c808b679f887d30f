package pingpong

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Suffix ends the names of journals, which are POOL-SLOT.INCARNATION.journal.
const Suffix = ".journal"

// Message is what the application says in one message. Each lane of a slot numbers
// its own from 1.
type Message struct {
	Kind   string // ping, or pong
	Lane   int
	Number int
	Again  bool // the process before has crashed, and may have sent it already
}

func (m Message) String() string {
	return fmt.Sprintf("%s %d %d %t", m.Kind, m.Lane, m.Number, m.Again)
}

// Parse reads what String has written.
func Parse(text string) (m Message, err error) {
	if _, err := fmt.Sscanf(text, "%s %d %d %t", &m.Kind, &m.Lane, &m.Number, &m.Again); err != nil {
		return m, fmt.Errorf("message %q: %w", text, err)
	}
	return m, nil
}

// Entry is one line of a journal.
type Entry struct {
	What    string // one of the words below
	Peer    string // the slot that it was sent to, or came from
	Counter int    // of the messages that the slot has handled: state of a module
	Message

	Incarnation uint64 // of the sender
	Seq         uint64 // of the mailbox
	Redelivered bool
}

// What an entry tells.
const (
	Began     = "began"     // the process serves, without a state
	Inherited = "inherited" // the process serves, with the state of the one before
	Sent      = "sent"      // the receiver has handled the message
	Received  = "received"  // the message is about to be acknowledged as handled
	Ended     = "ended"     // the slot has sent and received all
)

func (e Entry) String() string {
	switch e.What {
	case Sent:
		return fmt.Sprintf("%s %s %v", e.What, e.Peer, e.Message)
	case Received:
		return fmt.Sprintf("%s %s %v %d %d %d %t", e.What, e.Peer, e.Message, e.Counter, e.Incarnation, e.Seq, e.Redelivered)
	}
	return fmt.Sprintf("%s %d", e.What, e.Counter)
}

func parseEntry(text string) (e Entry, err error) {
	e.What, _, _ = strings.Cut(text, " ")
	m := &e.Message
	switch e.What {
	case Sent:
		_, err = fmt.Sscanf(text, "sent %s %s %d %d %t", &e.Peer, &m.Kind, &m.Lane, &m.Number, &m.Again)
	case Received:
		_, err = fmt.Sscanf(text, "received %s %s %d %d %t %d %d %d %t", &e.Peer, &m.Kind, &m.Lane, &m.Number, &m.Again,
			&e.Counter, &e.Incarnation, &e.Seq, &e.Redelivered)
	case Began, Inherited, Ended:
		_, err = fmt.Sscanf(text, e.What+" %d", &e.Counter)
	default:
		err = fmt.Errorf("no entry begins with %q", e.What)
	}
	if err == nil && e.String() != text {
		err = fmt.Errorf("it should be %q", e)
	}
	return e, err
}

// Process is the journal of one process.
type Process struct {
	Slot        string // as in actors/0
	Incarnation uint64
	Entries     []Entry
}

// name is that of its file.
func (p Process) name() string {
	return fmt.Sprintf("%s.%d%s", strings.ReplaceAll(p.Slot, "/", "-"), p.Incarnation, Suffix)
}

// Create opens the journal of a process. Each line is one write(2): what was written
// is there whatever becomes of the process.
func Create(dir, slot string, incarnation uint64) (*os.File, error) {
	name := Process{Slot: slot, Incarnation: incarnation}.name()
	return os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
}

// Read returns all journals of a directory, those of a slot in the order of their
// processes. A last line that is cut is passed over: its process was killed while it
// wrote.
func Read(dir string) ([]Process, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"+Suffix))
	if err != nil {
		return nil, err
	}
	var all []Process
	for _, name := range names {
		p, err := readOne(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Process) int {
		if a.Slot != b.Slot {
			return strings.Compare(a.Slot, b.Slot)
		}
		return int(a.Incarnation) - int(b.Incarnation)
	})
	return all, nil
}

func readOne(name string) (p Process, err error) {
	var slot int
	pool, rest, _ := strings.Cut(filepath.Base(name), "-")
	if _, err := fmt.Sscanf(rest, "%d.%d", &slot, &p.Incarnation); err != nil {
		return p, fmt.Errorf("the name of a journal is POOL-SLOT.INCARNATION%s: %w", Suffix, err)
	}
	p.Slot = fmt.Sprintf("%s/%d", pool, slot)
	text, err := os.ReadFile(name)
	if err != nil {
		return p, err
	}
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line, whole := strings.CutSuffix(line, "\n")
		if !whole {
			break
		}
		e, err := parseEntry(line)
		if err != nil {
			return p, fmt.Errorf("line %d: %q: %w", number, line, err)
		}
		p.Entries = append(p.Entries, e)
	}
	return p, nil
}
