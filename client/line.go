package client

import (
	"context"
	"errors"
	"io"
)

// maxLine is how long a line of our input may be: what the server takes.
const maxLine = 8 << 10

var errLongLine = errors.New("a line of more than 8 kB")

// Line reads one line with its end, and not a byte more: what follows may be
// for somebody else. A last line without an end is given as it is, and io.EOF
// with the next call.
func (in *Input) Line(ctx context.Context) ([]byte, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := in.Read(ctx, b)
		switch {
		case n == 1:
			if line = append(line, b[0]); b[0] == '\n' {
				return line, nil
			}
			if len(line) > maxLine {
				return nil, errLongLine
			}
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		case err != nil:
			return nil, err
		}
	}
}
