package client

import (
	"bytes"
	"unicode/utf8"
)

// Kinds of marks that the server puts between its output: docs/protocol.md, "To
// our own client".
const (
	markPassword = "password" // TLS: it waits for the password
	markPrompt   = "prompt"   // it waits for a command
	markAsk      = "ask"      // TLS: the command waits for an answer
	markRun      = "run"      // ssh: this line runs now
	markEnd      = "end"      // TLS: the command has ended, with this status
	markPlace    = "place"    // the output is here
	markJob      = "job"      // the command follows this job
	markInsert   = "insert"   // TLS: the answer to an enquiry
	markBye      = "bye"      // TLS: the session has ended on purpose, with this status
)

const (
	markBegin = "\x1b_norestart;"
	markClose = "\x1b\\"
	maxMark   = 8 << 10 // a longer one is not a mark
)

// word is a piece of the server's output: text, or a mark.
type word struct {
	text        []byte // shown as it is
	kind, value string // of a mark, where text is nil
}

// splitter finds the marks in a stream. Everything else is text, byte for byte.
type splitter struct {
	held []byte // may be the beginning of a mark
}

// feed takes input and returns whole pieces. The texts are valid until the next
// call.
func (s *splitter) feed(p []byte) (found []word) {
	s.held = append(s.held, p...)
	rest := s.held
	for len(rest) > 0 {
		i := bytes.IndexByte(rest, markBegin[0])
		if i < 0 {
			i = len(rest)
		}
		if i > 0 {
			found = append(found, word{text: rest[:i:i]})
			rest = rest[i:]
			continue
		}
		w, n := nextMark(rest)
		if n == 0 { // incomplete
			break
		}
		found = append(found, w)
		rest = rest[n:]
	}
	s.held = bytes.Clone(rest)
	return found
}

// nextMark reads the mark that p begins with, or one byte of text that only looks
// like a mark; n is 0 if p may still become one.
func nextMark(p []byte) (w word, n int) {
	short := min(len(p), len(markBegin))
	if string(p[:short]) != markBegin[:short] {
		return word{text: p[:1:1]}, 1
	}
	if short < len(markBegin) {
		return word{}, 0
	}
	body := p[len(markBegin):]
	end := bytes.IndexFunc(body, func(r rune) bool { return r < ' ' || r == 0x7f })
	switch {
	case end < 0 && len(body) <= maxMark:
		return word{}, 0
	case end < 0 || end > maxMark:
		return word{text: p[:1:1]}, 1
	case end+1 == len(body) && body[end] == markClose[0]:
		return word{}, 0
	case !bytes.HasPrefix(body[end:], []byte(markClose)) || !utf8.Valid(body[:end]):
		return word{text: p[:1:1]}, 1
	}
	kind, value, _ := bytes.Cut(body[:end], []byte(";"))
	return word{kind: string(kind), value: string(value)}, len(markBegin) + end + len(markClose)
}
