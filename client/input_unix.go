//go:build unix

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Input reads a file, usually standard input, so that a pending read can be given
// up: nothing ends a read(2) of a terminal.
type Input struct {
	file *os.File

	mu sync.Mutex // held during a read
}

// NewInput returns an Input that reads f. The caller closes f.
func NewInput(f *os.File) *Input { return &Input{file: f} }

// Read waits for data and reads it, or returns the cause of ctx. Readers take
// turns.
func (in *Input) Read(ctx context.Context, p []byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("wait for input: %w", err)
	}
	defer r.Close()
	stop := context.AfterFunc(ctx, func() { _ = w.Close() }) // the read end hangs up
	defer func() {
		if stop() {
			_ = w.Close()
		}
	}()
	if err := in.wait(ctx, r); err != nil {
		return 0, err
	}
	n, err := unix.Read(int(in.file.Fd()), p)
	switch {
	case errors.Is(err, unix.EIO): // a terminal that has hung up
		return 0, io.EOF
	case err != nil:
		return 0, fmt.Errorf("read: %w", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// wait returns when the file can be read. A file that poll(2) does not support
// (POLLNVAL) always can.
func (in *Input) wait(ctx context.Context, wake *os.File) error {
	fds := []unix.PollFd{
		{Fd: int32(in.file.Fd()), Events: unix.POLLIN},
		{Fd: int32(wake.Fd()), Events: unix.POLLIN},
	}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case err != nil:
			return fmt.Errorf("wait for input: %w", err)
		case fds[0].Revents != 0:
			return nil
		}
	}
}
