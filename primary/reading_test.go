package primary

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

// TestReadingHangs: a file system that does not answer delays one reader by the
// deadline and the next ones not at all; when it answers again, so do we.
func TestReadingHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		r := newReader(func() (Configuration, error) {
			<-answer
			return Configuration{Spec: control.Spec{Name: "shop"}}, nil
		}, "")
		for _, takes := range []time.Duration{readTimeout, 0, 0} {
			began := time.Now()
			if _, err := r.now(t.Context()); !errors.Is(err, control.ErrTimeout) || time.Since(began) != takes {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
			time.Sleep(time.Nanosecond)
		}
		close(answer)
		synctest.Wait()
		if c, err := r.now(t.Context()); err != nil || c.Spec.Name != "shop" {
			t.Error(c, err)
		}
	})
}

// TestFileHangs: a hanging file stops neither the loop nor what does not need it.
func TestFileHangs(t *testing.T) {
	c := newCluster(t, quick("web", 1))
	answer, hangs := make(chan struct{}), make(chan struct{}, 8)
	c.cfg.Reread = func() (Configuration, error) {
		hangs <- struct{}{}
		<-answer
		return Configuration{}, errors.New("norestart.toml:3: it is wrong\nnorestart.toml:4: so is this")
	}
	c.run()
	c.await("cluster.ready", "")
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = c.ctl.Do(ctx, control.ReloadRequest{}, nil)
	}()
	<-hangs
	j, err := c.ctl.Do(t.Context(), control.ScaleRequest{Pool: "web", To: 2}, func(control.JobEvent) error { return nil })
	if err != nil || j.State != control.JobOK {
		t.Error(j, err)
	}
	cancel()
	<-gone
	close(answer)
	_, err = c.ctl.Do(t.Context(), control.ReloadRequest{}, nil)
	want := "norestart.toml:3: it is wrong; norestart.toml:4: so is this; nothing was changed"
	if !errors.Is(err, control.ErrUsage) || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
	st, err := control.Get(t.Context(), c.ctl, control.StatusQuery{})
	if err != nil || len(st.Pools) != 1 || st.Pools[0].Differs != nil {
		t.Error(cmp.Diff(control.Status{}, st), err)
	}
}
