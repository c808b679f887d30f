package primary

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/norestart/norestart/control"
)

// Configuration is what a file says: the cluster, and what the workers of built-in
// pools are told, by pool.
type Configuration struct {
	Spec     control.Spec
	Settings map[string][]byte
}

// reader reads the configuration beside the loop: a file system may not answer.
// While one reading hangs, nobody begins another.
type reader[T any] struct {
	read  func() (T, error)         // nil: there is no file
	hint  string                    // what to try when the file cannot be used
	turn  chan struct{}             // size 1: held while somebody reads
	began atomic.Pointer[time.Time] // nil: nobody reads
}

// readTimeout is how long the file may take, and those that it names.
const readTimeout = 5 * time.Second

func newReader[T any](read func() (T, error), hint string) *reader[T] {
	return &reader[T]{read: read, hint: hint, turn: make(chan struct{}, 1)}
}

var errHung = &control.Error{
	Code: control.ErrTimeout.Code, Message: fmt.Sprintf("the configuration could not be read within %v: its file system does not answer; nothing was changed", readTimeout),
}

// now is the configuration as it stands in the file; nil: there is none.
func (r *reader[T]) now(ctx context.Context) (*T, error) {
	if r.read == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readTimeout, errHung)
	defer cancel()
	if began := r.began.Load(); began != nil && time.Since(*began) > readTimeout {
		return nil, errHung
	}
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	now := time.Now()
	r.began.Store(&now)
	type result struct {
		c   T
		err error
	}
	done := make(chan result, 1)
	go func() { // the kernel cannot be told to give up
		c, err := r.read()
		r.began.Store(nil)
		<-r.turn
		done <- result{c, err}
	}()
	select {
	case x := <-done:
		if x.err != nil {
			return nil, unread(x.err, r.hint)
		}
		return &x.c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// unread is why the file cannot be used, as an operator is told.
func unread(err error, hint string) error {
	return &control.Error{Code: control.ErrUsage.Code, Message: strings.ReplaceAll(err.Error(), "\n", "; ") + "; nothing was changed", Hint: hint}
}

// pool is what the configuration says of a pool; nil: nothing.
func (c *Configuration) pool(name string) *control.PoolSpec {
	for i := range c.Spec.Pools {
		if c.Spec.Pools[i].Name == name {
			return &c.Spec.Pools[i]
		}
	}
	return nil
}
