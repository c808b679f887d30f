package client

import (
	"context"
	"errors"
	"io"
)

// maxLine is the longest line that the server takes.
const maxLine = 8 << 10

var errLongLine = errors.New("a line of more than 8 kB")

// Line reads one line with its line break and not a byte more: the rest may be
// for another reader. A last line without a line break is returned as it is, and
// io.EOF by the next call.
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
