package client

// escape finds the escapes at the beginning of a line of a session over ssh, as
// in ssh(1), ESCAPE CHARACTERS.
type escape struct {
	inLine bool // the last key was neither Enter nor the first
	tilde  bool // it was ~ at the beginning of a line
}

const escapeHelp = "\r\nSupported escape sequences:\r\n" +
	" ~.  - leave the session; its jobs go on\r\n" +
	" ~?  - this message\r\n" +
	" ~~  - send the escape character\r\n" +
	"(Escapes are recognized only after Enter.)\r\n"

// step takes one key and returns what goes to the server; leave and help report
// an escape.
func (e *escape) step(b byte, out []byte) (_ []byte, leave, help bool) {
	if e.tilde {
		e.tilde = false
		switch b {
		case '.':
			return out, true, false
		case '?':
			return out, false, true
		case '~':
		default:
			out = append(out, '~')
		}
	} else if b == '~' && !e.inLine {
		e.tilde = true
		return out, false, false
	}
	e.inLine = b != '\r' && b != '\n'
	return append(out, b), false, false
}
