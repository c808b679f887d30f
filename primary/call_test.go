package primary

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// shy ends when it is asked something, before it takes the question.
func (a *actor) shy() {
	if !a.join() {
		return
	}
	a.tell(ipc.TypeReady, nil)
	for {
		m, err := a.conn.Receive(0)
		if err != nil {
			return
		}
		m.Discard()
		if m.Type == ipc.TypeInvite {
			a.Exit(5)
			return
		}
	}
}

// TestCallToOneThatEnds: whoever asks learns at once that a worker has ended.
func TestCallToOneThatEnds(t *testing.T) {
	c := newCluster(t, hasty("web", 2))
	c.act(on("web/1", (*actor).shy))
	c.run()
	c.await("cluster.ready", "")
	got := make(map[string]string)
	err := control.Watch(c.context(), c.ctl, control.CallRequest{Pool: "web", Handler: "name", Timeout: time.Hour}, func(r control.CallReply) error {
		got[r.Worker] = fmt.Sprintf("generation %d: %s", r.Generation, r.Error)
		return nil
	})
	must(t, err)
	if d := cmp.Diff(map[string]string{"web/0": "generation 1: ", "web/1": "generation 1: it ended before it answered"}, got); d != "" {
		t.Errorf("answers (-want +got):\n%s", d)
	}
}
