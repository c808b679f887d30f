package primary

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// hears joins, is never ready, and passes on each configuration that it is told.
func hears(joined chan<- struct{}, told chan<- string) func(*actor) {
	return func(a *actor) {
		if !a.join() {
			return
		}
		joined <- struct{}{}
		for {
			m, err := a.conn.Receive(0)
			if err != nil {
				return
			}
			var c ipc.Config
			if m.Type == ipc.TypeConfig && m.Decode(&c) == nil {
				told <- string(c.Data)
			}
			m.Discard()
			if m.Type == ipc.TypeDrain {
				a.Exit(0)
				return
			}
		}
	}
}

// TestConfigReachesThoseThatStart: a worker that is not ready is not waited for, and
// still gets what the others get, and nothing that it has.
func TestConfigReachesThoseThatStart(t *testing.T) {
	c := newCluster(t, hasty("web", 2))
	var file atomic.Pointer[string]
	write := func(text string) { file.Store(&text) }
	write(`{"n":1}`)
	c.cfg.ReadApp = func() ([]byte, error) { return []byte(*file.Load()), nil }
	joined, told := make(chan struct{}, 8), make(chan string, 8)
	c.act(on("web/1", hears(joined, told)))
	c.run()
	<-joined
	c.await("worker.ready", "web/0")
	write(`{"n":2}`)
	changes, err := control.Get(c.context(), c.ctl, control.ConfigQuery{})
	must(t, err)
	want := []control.PoolChanges{{Follows: control.FollowsLive, Changes: []control.Change{{Key: "n", From: "1", To: "2", Follows: control.FollowsLive}}}}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	j, err := c.ctl.Do(c.context(), control.ConfigRequest{}, func(control.JobEvent) error { return nil })
	if err != nil || j.State != control.JobOK {
		t.Fatalf("%+v: %v", j, err)
	}
	select {
	case got := <-told:
		if got != `{"n":2}` || len(told) > 0 {
			t.Errorf("it was told %s, and %d more", got, len(told))
		}
	case <-time.After(soon):
		t.Error("it was told nothing")
	}
}
