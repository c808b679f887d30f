//go:build !unix

package client

import (
	"context"
	"os"
)

// Input reads a file. The wait for it cannot be given up here.
type Input struct{ file *os.File }

// NewInput takes f, which stays the caller's.
func NewInput(f *os.File) *Input { return &Input{file: f} }

// Read reads what comes.
func (in *Input) Read(ctx context.Context, p []byte) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return in.file.Read(p)
}
