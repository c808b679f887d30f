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
type reader struct {
	read  func() (Configuration, error) // nil: there is no file
	turn  chan struct{}                 // size 1: held while somebody reads
	began atomic.Pointer[time.Time]     // nil: nobody reads
}

// readTimeout is how long the file may take, and those that it names.
const readTimeout = 5 * time.Second

func newReader(read func() (Configuration, error)) *reader {
	return &reader{read: read, turn: make(chan struct{}, 1)}
}

var errHung = &control.Error{
	Code: control.ErrTimeout.Code, Message: fmt.Sprintf("the configuration could not be read within %v: its file system does not answer; nothing was changed", readTimeout),
}

// now is the configuration as it stands in the file; nil: there is none.
func (r *reader) now(ctx context.Context) (*Configuration, error) {
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
		c   Configuration
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
			return nil, unread(x.err)
		}
		return &x.c, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// unread is why the file cannot be used, as an operator is told.
func unread(err error) error {
	return &control.Error{Code: control.ErrUsage.Code, Message: strings.ReplaceAll(err.Error(), "\n", "; ") + "; nothing was changed", Hint: "norestart check"}
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
