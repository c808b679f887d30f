package adminport

// The keys of the line editor are Unicode's noncharacters. x/term has no binding
// for them, so it passes them to its callback. Clients cannot send them (guard).
const (
	filler           rune = 0xfdd0 + iota // behind a wide rune, for its second column
	gap                                   // where a wide rune does not fit the rest of a row
	keyLeft                               // ←, Ctrl-B
	keyRight                              // →, Ctrl-F
	keyWordLeft                           // Ctrl-←, Alt-B
	keyWordRight                          // Ctrl-→, Alt-F
	keyHome                               // Home, Ctrl-A
	keyEnd                                // End, Ctrl-E
	keyUp                                 // ↑, Ctrl-P
	keyDown                               // ↓, Ctrl-N
	keyBackspace                          // Backspace, Ctrl-H
	keyDelete                             // Delete
	keyDeleteOrLeave                      // Ctrl-D
	keyWordBack                           // Ctrl-W, Alt-Backspace
	keyWordAhead                          // Alt-D
	keyCutEnd                             // Ctrl-K
	keyCutStart                           // Ctrl-U
	keyYank                               // Ctrl-Y
	keySwap                               // Ctrl-T
	keyClear                              // Ctrl-L
	keySearch                             // Ctrl-R
	keyAbort                              // Ctrl-G
	keyComplete                           // TAB
	keyHelp                               // typed, not pasted
	keyInterrupted                        // Ctrl-C at a prompt
	keyAccept                             // Enter during a search
)

const lastKey = 0xfdef

func isKey(r rune) bool { return r >= filler && r <= lastKey }

// controls are the keys of control characters.
var controls = map[byte]rune{
	0x01: keyHome, 0x02: keyLeft, 0x04: keyDeleteOrLeave, 0x05: keyEnd, 0x06: keyRight,
	0x07: keyAbort, 0x08: keyBackspace, '\t': keyComplete, 0x0b: keyCutEnd, 0x0c: keyClear,
	0x0e: keyDown, 0x10: keyUp, 0x12: keySearch, 0x14: keySwap, 0x15: keyCutStart,
	0x17: keyWordBack, 0x19: keyYank, 0x7f: keyBackspace,
}

// sequences are the keys of escape sequences: xterm, PuTTY, tmux, the Linux
// console and rxvt differ.
var sequences = map[string]rune{
	"\x1b[A": keyUp, "\x1b[B": keyDown, "\x1b[C": keyRight, "\x1b[D": keyLeft,
	"\x1bOA": keyUp, "\x1bOB": keyDown, "\x1bOC": keyRight, "\x1bOD": keyLeft,
	"\x1b[H": keyHome, "\x1bOH": keyHome, "\x1b[1~": keyHome, "\x1b[7~": keyHome,
	"\x1b[F": keyEnd, "\x1bOF": keyEnd, "\x1b[4~": keyEnd, "\x1b[8~": keyEnd,
	"\x1b[3~":   keyDelete,
	"\x1b[1;5C": keyWordRight, "\x1b[1;3C": keyWordRight, "\x1b[5C": keyWordRight, "\x1bOc": keyWordRight, "\x1bf": keyWordRight,
	"\x1b[1;5D": keyWordLeft, "\x1b[1;3D": keyWordLeft, "\x1b[5D": keyWordLeft, "\x1bOd": keyWordLeft, "\x1bb": keyWordLeft,
	"\x1bd": keyWordAhead, "\x1b[3;5~": keyWordAhead, "\x1b[3;3~": keyWordAhead,
	"\x1b\x7f": keyWordBack, "\x1b\x08": keyWordBack,
}
