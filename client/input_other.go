//go:build !unix

package client

import (
	"context"
	"os"
)

// Input reads a file. On this system a pending read cannot be given up.
type Input struct{ file *os.File }

func NewInput(f *os.File) *Input { return &Input{file: f} }

func (in *Input) Read(ctx context.Context, p []byte) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return in.file.Read(p)
}
