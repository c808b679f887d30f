package primary

import (
	"cmp"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

// cause finds the line of a program's output that says why it ended: the one to
// which a dump of its stacks belongs, else the last one. A dump may be longer
// than the kept output, so a line that may begin one is kept when it is written.
type cause struct {
	Panic string `cbor:"panic,omitempty"` // the last one, which the program may have survived
	Later int    `cbor:"later,omitempty"` // lines since then that belong to no trace
}

const (
	maxCause = 200 // bytes of it in a message
	// otherLines is how many lines of other threads may stand in the dump of a
	// panic. After more, the program has recovered.
	otherLines = 8
)

var (
	// raises are reasons with their trace below them.
	raises = compiled(`^((Uncaught )?([\w$]+\.)*\w*(Error|Exception)( \[\w+\])?(: |$))`)
	// traces begin a trace. Its reason is the line above, in Python the one
	// below.
	traces = compiled(`^(goroutine \d+ .*\[.*\]:|(Traceback|\w+ backtrace|runtime stack).*:)$`)
	// frames are the lines of a trace that are not indented: calls and registers
	// of Go, what node says of a module.
	frames = compiled(`^(\S+\(.*\)|created by .*|goroutine .*|\[(signal|originating) .*|PC=0x.*|\w+ +0x[0-9a-f]+|\.\.\..*|Require stack:|- .*)$`)
	// noise is never a reason.
	noise = compiled(`^([[:punct:]\s]*|exit status \d+|Node\.js v\S+|note: .*)$`)
	// stamps and repanics differ between processes that end for the same reason.
	stamps   = compiled(`^(time=\S+|\[?\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d\S*) +`)
	repanics = compiled(`( \[recovered(, repanicked)?\])+$`)
)

// compiled is an expression that costs nothing until a program has ended by
// itself. All of them are 100 KB, in every process of the binary.
func compiled(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// take handles the next line. Most lines belong to no trace and cost little.
func (c *cause) take(line string) {
	switch {
	case strings.HasPrefix(line, "panic: "), strings.HasPrefix(line, "fatal error: "), strings.HasPrefix(line, "SIGQUIT: "), strings.HasPrefix(line, "Exception in "):
		c.Panic, c.Later = line, 0
	case c.Panic != "" && c.Later <= otherLines && !traced(line):
		c.Later++
	}
}

// traced reports whether a line after a reason belongs to its trace.
func traced(line string) bool {
	return strings.IndexAny(line, " \t") == 0 || noise().MatchString(line) || traces().MatchString(line) || frames().MatchString(line)
}

// text is the reason of a program whose last lines are tail, for a message: safe
// on a terminal, not too long.
func (c *cause) text(tail []string) string {
	if c.Panic != "" && c.Later <= otherLines {
		return clipped(repanics().ReplaceAllString(c.Panic, ""))
	}
	reason, trace := "", false
	for _, line := range tail {
		switch text := strings.TrimSpace(line); {
		case reason != "" && noise().MatchString(text), trace && traced(line):
		case traces().MatchString(text):
			reason, trace = cmp.Or(reason, text), true
		default:
			reason, trace = text, raises().MatchString(text)
		}
	}
	return clipped(reason)
}

func clipped(text string) string {
	if text == "" {
		return ""
	}
	text = quoted(strings.ToValidUTF8(stamps().ReplaceAllString(text, ""), "�"))
	if len(text) <= maxCause {
		return text
	}
	end := maxCause
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + " …"
}
