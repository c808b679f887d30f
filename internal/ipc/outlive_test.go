package ipc

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

// primaries are one after the other, each for one request.
func primaries(t *testing.T, lives ...func(*Conn, Request)) *Client {
	t.Helper()
	var mu sync.Mutex
	n := 0
	return listen(t, func(conn *Conn) {
		if _, err := conn.Receive(soon); err != nil {
			return
		}
		conn.Trust(false)
		_ = conn.Send(soon, TypeWelcome, Welcome{Protocol: Version})
		m, err := conn.Receive(soon)
		if err != nil {
			return
		}
		var r Request
		must(t, m.Decode(&r))
		mu.Lock()
		defer mu.Unlock()
		if n++; n > len(lives) {
			t.Errorf("request %d of %d", n, len(lives))
			return
		}
		lives[n-1](conn, r)
	})
}

func line(epoch, seq uint64) control.LogLine {
	return control.LogLine{Cursor: control.Cursor{Epoch: epoch, Seq: seq}}
}

// TestLogOutlivesItsPrimary: one that goes on is asked for what comes next, one
// that begins anew for all that it has.
func TestLogOutlivesItsPrimary(t *testing.T) {
	var asked []control.LogQuery
	life := func(last bool, lines ...control.LogLine) func(*Conn, Request) {
		return func(conn *Conn, r Request) {
			var q control.LogQuery
			must(t, Decode(r.Body, &q))
			asked = append(asked, q)
			for _, x := range lines {
				_ = conn.Send(soon, TypeItem, x)
			}
			if last {
				_ = conn.Send(soon, TypeReply, Reply{})
			}
		}
	}
	c := primaries(t, life(false), life(false, line(1, 7), line(1, 8)), life(false, line(1, 9)), life(true, line(2, 1)))
	var got []control.Cursor
	q := control.LogQuery{Worker: "web/0", Lines: 10, Follow: true}
	must(t, control.Watch(t.Context(), c, q, func(x control.LogLine) error { got = append(got, x.Cursor); return nil }))
	if d := cmp.Diff([]control.Cursor{{Epoch: 1, Seq: 7}, {Epoch: 1, Seq: 8}, {Epoch: 1, Seq: 9}, {Epoch: 2, Seq: 1}}, got); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
	want := []control.LogQuery{q, q, q, q}
	want[2].After, want[2].Lines = got[1], everything
	want[3].After, want[3].Lines = got[2], everything
	if d := cmp.Diff(want, asked); d != "" {
		t.Errorf("asked (-want +got):\n%s", d)
	}
}

// TestLogWithoutFollow is asked for once.
func TestLogWithoutFollow(t *testing.T) {
	c := primaries(t, func(*Conn, Request) {})
	err := control.Watch(t.Context(), c, control.LogQuery{}, func(control.LogLine) error { return nil })
	if !errors.Is(err, control.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// TestJobOutlivesItsPrimary: no event is told twice.
func TestJobOutlivesItsPrimary(t *testing.T) {
	life := func(last bool, n int) func(*Conn, Request) {
		return func(conn *Conn, _ Request) {
			for i := range n {
				_ = conn.Send(soon, TypeItem, control.JobEvent{Seq: i + 1})
			}
			if last {
				body, err := Encode(control.Job{ID: "7"})
				must(t, err)
				_ = conn.Send(soon, TypeReply, Reply{Body: body})
			}
		}
	}
	var got []int
	j, err := primaries(t, life(false, 2), life(true, 4)).Do(t.Context(), control.FollowRequest{ID: "7"}, func(e control.JobEvent) error {
		got = append(got, e.Seq)
		return nil
	})
	if d := cmp.Diff([]int{1, 2, 3, 4}, got); err != nil || j.ID != "7" || d != "" {
		t.Errorf("job %q, %v; events (-want +got):\n%s", j.ID, err, d)
	}
}

// TestOutliveEnds: no caller waits for a primary for ever.
func TestOutliveEnds(t *testing.T) {
	other := errors.New("other")
	for name, test := range map[string]struct {
		err      error
		progress time.Duration // until then
		cancel   time.Duration
		want     error
		after    time.Duration
	}{
		"no successor comes":         {err: control.ErrUnavailable, want: control.ErrUnavailable, after: successorTimeout},
		"it goes on for a while":     {err: control.ErrUnavailable, progress: time.Minute, want: control.ErrUnavailable, after: time.Minute + successorTimeout},
		"there never was one":        {err: unavailable(os.ErrNotExist), want: os.ErrNotExist},
		"an answer":                  {err: other, want: other},
		"success":                    {},
		"the caller wants no longer": {err: control.ErrUnavailable, cancel: time.Second, want: context.Canceled, after: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.cancel > 0 {
					defer time.AfterFunc(test.cancel, cancel).Stop()
				}
				begun := time.Now()
				err := outlive(ctx, func() (bool, error) { return time.Since(begun) < test.progress, test.err })
				took := time.Since(begun)
				if !errors.Is(err, test.want) || took < test.after || took > test.after+2*successorPause {
					t.Errorf("%v after %v, want %v after %v", err, took, test.want, test.after)
				}
			})
		})
	}
}
