package primary

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

// lines is an event log of n lines: "1", "2", …
func lines(room, bytes, n int) *eventLog[control.LogLine] {
	j := newEventLog(7, room, bytes, func(x control.LogLine) int { return len(x.Text) })
	for range n {
		line(j)
	}
	return j
}

func line(j *eventLog[control.LogLine]) {
	j.add(func(c control.Cursor) control.LogLine {
		return control.LogLine{Cursor: c, Worker: fmt.Sprintf("web/%d", c.Seq%2), Text: fmt.Sprint(c.Seq)}
	})
}

func TestEventLog(t *testing.T) {
	at := func(seq uint64) control.Cursor { return control.Cursor{Epoch: 7, Seq: seq} }
	tests := map[string]struct {
		room, bytes, n int
		lines          int
		worker         string
		after          control.Cursor
		want           string
	}{
		"all":                       {room: 10, bytes: 99, n: 3, want: "1 2 3"},
		"the last":                  {room: 10, bytes: 99, n: 5, lines: 2, want: "4 5"},
		"none":                      {room: 10, bytes: 99, n: 5, lines: -1, want: ""},
		"one worker's last":         {room: 10, bytes: 99, n: 5, lines: 2, worker: "web/1", want: "3 5"},
		"room for three":            {room: 3, bytes: 99, n: 5, want: "3 4 5"},
		"bytes for three":           {room: 10, bytes: 3, n: 5, want: "3 4 5"},
		"one too large stays":       {room: 10, bytes: 1, n: 12, want: "12"},
		"a hundred unless told":     {room: 200, bytes: 999, n: 101, worker: "web/1", want: odd(101)},
		"resumed":                   {room: 10, bytes: 99, n: 5, after: at(3), want: "4 5"},
		"resumed at the end":        {room: 10, bytes: 99, n: 5, after: at(5), want: ""},
		"resumed too late":          {room: 2, bytes: 99, n: 9, after: at(3), want: "8(4 skipped) 9"},
		"resumed beyond the end":    {room: 10, bytes: 99, n: 5, after: at(50), want: ""},
		"resumed in another's time": {room: 10, bytes: 99, n: 5, after: control.Cursor{Epoch: 6, Seq: 3}, lines: 2, want: "4 5"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := lines(test.room, test.bytes, test.n).stream(t.Context(), query[control.LogLine]{
				lines: test.lines, after: test.after,
				match: func(x control.LogLine) bool { return test.worker == "" || x.Worker == test.worker },
				tell: func(x control.LogLine, skipped int) error {
					if skipped > 0 {
						x.Text += fmt.Sprintf("(%d skipped)", skipped)
					}
					got = append(got, x.Text)
					return nil
				},
			})
			if d := cmp.Diff(test.want, strings.Join(got, " ")); err != nil || d != "" {
				t.Errorf("%v (-want +got):\n%s", err, d)
			}
		})
	}
}

func odd(n int) string {
	var all []string
	for i := 1; i <= n; i += 2 {
		all = append(all, fmt.Sprint(i))
	}
	return strings.Join(all, " ")
}

// TestEventLogFollow: a slow reader misses the oldest and is told how many.
func TestEventLogFollow(t *testing.T) {
	j := lines(4, 99, 2)
	var got []string
	skipped := 0
	ctx, cancel := context.WithCancel(t.Context())
	err := j.stream(ctx, query[control.LogLine]{
		follow: true, match: func(control.LogLine) bool { return true },
		tell: func(x control.LogLine, missed int) error {
			got = append(got, x.Text)
			skipped += missed
			switch x.Seq {
			case 2: // while it is busy with this one, ten more come
				for range 10 {
					line(j)
				}
			case 12:
				cancel()
			}
			return nil
		},
	})
	if d := cmp.Diff([]string{"1", "2", "9", "10", "11", "12"}, got); d != "" || skipped != 6 || err != context.Canceled {
		t.Errorf("%d skipped, %v (-want +got):\n%s", skipped, err, d)
	}
}

// TestEventLogWakes all who wait.
func TestEventLogWakes(t *testing.T) {
	j := lines(10, 99, 0)
	enough := errors.New("enough")
	done := make(chan error)
	waiting := make(chan struct{})
	for range 3 {
		go func() {
			waiting <- struct{}{}
			done <- j.stream(t.Context(), query[control.LogLine]{
				follow: true, match: func(control.LogLine) bool { return true },
				tell: func(control.LogLine, int) error { return enough },
			})
		}()
		<-waiting
	}
	line(j)
	for range 3 {
		if err := <-done; err != enough {
			t.Errorf("%v, want %v", err, enough)
		}
	}
}
