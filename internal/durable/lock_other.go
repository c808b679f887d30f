//go:build !unix || solaris || illumos || aix

package durable

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Lock is a lock that this process holds. There are none on this system.
type Lock struct{}

// Acquire is not supported on this system.
func Acquire(_ context.Context, path string) (*Lock, error) {
	return nil, fmt.Errorf("lock %s: %w", path, errors.ErrUnsupported)
}

// AcquireIn is not supported on this system.
func AcquireIn(ctx context.Context, _ *os.Root, name string) (*Lock, error) {
	return Acquire(ctx, name)
}

// Release gives the lock back.
func (l *Lock) Release() error { return nil }
