package adminport

import (
	"encoding/binary"
)

// Limits of what a client says about its terminal.
const (
	maxTerm    = 64
	maxSide    = 500 // columns and rows
	wantCols   = 80
	wantRows   = 24
	maxCommand = 8 << 10
	maxEnv     = 32
	maxEnvSize = 1 << 10
)

// ptyRequest is what a client says about its terminal (RFC 4254 §6.2).
type ptyRequest struct {
	term string
	size windowSize
}

// windowSize is in characters, within 1 and maxSide.
type windowSize struct{ cols, rows int }

// takeString takes an ssh string off the front of p. It compares the length as a
// 64-bit number: gliderlabs adds 4 to it in 32 bits, and one packet with the
// length 0xFFFFFFFF ends the process (gliderlabs/ssh#262).
func takeString(p []byte) (s string, rest []byte, ok bool) {
	if len(p) < 4 {
		return "", nil, false
	}
	n := uint64(binary.BigEndian.Uint32(p))
	if n > uint64(len(p)-4) {
		return "", nil, false
	}
	return string(p[4 : 4+n]), p[4+n:], true
}

// moves reports whether the terminal understands escape sequences.
func (r ptyRequest) moves() bool { return r.term != "" && r.term != "dumb" }

func parsePty(p []byte) (ptyRequest, bool) {
	term, rest, ok := takeString(p)
	if !ok || len(term) > maxTerm || !printable(term) {
		return ptyRequest{}, false
	}
	size, ok := parseWindow(rest)
	return ptyRequest{term: term, size: size}, ok
}

// parseWindow reads columns and rows and clamps them; pixels are ignored.
func parseWindow(p []byte) (windowSize, bool) {
	if len(p) < 8 {
		return windowSize{}, false
	}
	return windowSize{
		cols: clampSide(binary.BigEndian.Uint32(p), wantCols),
		rows: clampSide(binary.BigEndian.Uint32(p[4:]), wantRows),
	}, true
}

func clampSide(n uint32, unknown int) int {
	if n == 0 {
		return unknown
	}
	return int(min(n, maxSide))
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// allowedEnv says which variables a client may set. No program gets them.
func allowedEnv(p []byte) bool {
	name, rest, ok := takeString(p)
	if !ok || len(p) > maxEnvSize || !printable(name) {
		return false
	}
	if _, _, ok = takeString(rest); !ok {
		return false
	}
	switch name {
	case "LANG", "TERM", "NO_COLOR", "COLORTERM":
		return true
	}
	return len(name) > 3 && name[:3] == "LC_"
}

// refusesColour reports whether an allowed variable is NO_COLOR
// (https://no-color.org) with any value but the empty one.
func refusesColour(p []byte) bool {
	name, rest, _ := takeString(p)
	value, _, _ := takeString(rest)
	return name == "NO_COLOR" && value != ""
}
