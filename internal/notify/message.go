package notify

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Message is what a service says of itself.
type Message struct {
	// From is the process that has sent it, the parent of that, and so on, as far as
	// they were there when it was taken. The first is 0 for a process of another PID
	// namespace.
	From []int
	Text string // as it came
	Late bool   // it was taken by another process: what came directly is newer

	Ready    bool          // it has finished starting
	Stopping bool          // it has begun to stop
	Status   *string       // in one line, for a person; nil: unchanged, empty: none any more
	Alive    bool          // WATCHDOG=1
	Stuck    bool          // WATCHDOG=trigger: it asks for what follows a missed WATCHDOG=1
	Extend   time.Duration // from now on it needs this long to start or to stop; 0: unchanged

	Reloading bool          // it takes in its configuration anew, until the next READY=1
	Since     time.Duration // on the monotonic clock, when that began; 0: it does not say
	MainPID   int           // the process that is the service from now on; 0: unchanged

	Store   bool   // Files are to be kept for the next process of the service
	Remove  bool   // those that are kept under Name are not wanted any more
	Name    string // of the descriptors, "stored" by default
	Unasked bool   // they are kept also after a hang-up or an error
	// Files are the descriptors that came with the message, if they are to be kept.
	// They belong to the one who takes the message.
	Files []int
}

// Discard closes the descriptors that came with the message.
func (m Message) Discard() {
	for _, fd := range m.Files {
		_ = unix.Close(fd) // ours to drop
	}
}

// Lasts reports whether a message tells more than that its sender is alive: it is
// worth to be read late.
func (m Message) Lasts() bool {
	return m.Ready || m.Stopping || m.Stuck || m.Reloading || m.MainPID > 0 || m.Store || m.Remove || m.Status != nil || m.Extend > 0
}

// OnlyStatus reports whether a later status makes a message worthless.
func (m Message) OnlyStatus() bool {
	other := m
	other.Status = nil
	return m.Status != nil && !other.Lasts()
}

// maxStatus bounds a status in bytes.
const maxStatus = 512

// maxExtend bounds Extend: a service that needs more asks again.
const maxExtend = 24 * time.Hour

// Parse reads the lines of a datagram; of a field that comes twice the last one
// counts.
func Parse(datagram []byte) (m Message) {
	m.Text, m.Name = string(datagram), defaultName
	for line := range strings.SplitSeq(m.Text, "\n") {
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "READY":
			m.Ready = value == "1"
		case "STOPPING":
			m.Stopping = value == "1"
		case "WATCHDOG":
			m.Alive, m.Stuck = value == "1", value == "trigger"
		case "RELOADING":
			m.Reloading = value == "1"
		case "MONOTONIC_USEC":
			m.Since = microseconds(value)
		case "MAINPID":
			m.MainPID = 0
			if pid, err := strconv.ParseInt(value, 10, 32); err == nil && pid > 0 {
				m.MainPID = int(pid)
			}
		case "FDSTORE":
			m.Store = value == "1"
		case "FDSTOREREMOVE":
			m.Remove = value == "1"
		case "FDPOLL":
			m.Unasked = value == "0"
		case "FDNAME":
			if m.Name = value; !isName(value) {
				m.Name = defaultName
			}
		case "STATUS":
			status := legible(value)
			m.Status = &status
		case "EXTEND_TIMEOUT_USEC":
			m.Extend = min(microseconds(value), maxExtend)
		}
	}
	return m
}

// defaultName is that of descriptors without one of their own.
const defaultName = "stored"

// isName reports whether a name of descriptors can stand in LISTEN_FDNAMES
// (sd_pid_notify_with_fds(3)).
func isName(name string) bool {
	odd := func(r rune) bool { return r < ' ' || r > '~' || r == ':' }
	return name != "" && len(name) <= 255 && !strings.ContainsFunc(name, odd)
}

// microseconds is a time of the protocol; 0 for what is none.
func microseconds(value string) time.Duration {
	usec, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(min(usec, math.MaxInt64/1000)) * time.Microsecond
}

// legible is text that moves no cursor, cut to maxStatus.
func legible(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) > maxStatus {
		text = text[:maxStatus]
		for !utf8.ValidString(text) { // within a rune
			text = text[:len(text)-1]
		}
	}
	return text
}
