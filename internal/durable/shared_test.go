package durable

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counted are files that are asked for their state, and how often.
type counted struct {
	Disk
	looks, size atomic.Int64
	takes       time.Duration
	err         error
}

type sized struct {
	fs.FileInfo
	size int64
}

func (c *counted) Stat(string) (fs.FileInfo, error) {
	c.looks.Add(1)
	size := c.size.Load()
	time.Sleep(c.takes)
	return sized{size: size}, c.err
}

// A flood of strangers makes few look-ups, and each sees what is there when it
// asks.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := &counted{takes: time.Millisecond}
		files := Share(owner)
		var flood sync.WaitGroup
		began := time.Now()
		for range 8 {
			flood.Go(func() {
				for time.Since(began) < time.Second {
					if _, err := files.Stat("users.toml"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for n := range int64(5) {
			owner.size.Store(n)
			if info, err := files.Stat("users.toml"); err != nil || info.(sized).size != n {
				t.Errorf("%+v, %v, want size %d", info, err, n)
			}
		}
		flood.Wait()
		if n := owner.looks.Load(); n > 25 {
			t.Errorf("%d look-ups in a second", n)
		}
	})
}

// While the owner does not answer, one waits for it and the others do not.
func TestShareAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := &counted{takes: 5 * time.Second, err: ErrAway}
		files := Share(owner)
		if _, err := files.Stat("users.toml"); !errors.Is(err, ErrAway) {
			t.Errorf("%v, want %v", err, ErrAway)
		}
		began := time.Now()
		for range 10 {
			if _, err := files.Stat("host_key"); !errors.Is(err, ErrAway) {
				t.Errorf("%v, want %v", err, ErrAway)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("waited for %v", took)
		}
		owner.err, owner.takes = os.ErrNotExist, 0
		time.Sleep(stayAway)
		if _, err := files.Stat("users.toml"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after it is back: %v", err)
		}
	})
}
