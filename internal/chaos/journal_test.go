package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/norestart/norestart/internal/harness"
)

func TestOnlyTheKilledExcuseALoss(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1_000_000+int64(s), 0) }
	const local = "127.0.0.1:5000"
	for name, tt := range map[string]struct {
		loss loss
		want bool
	}{
		"held by the killed":            {loss{Sample: harness.Sample{Local: local, Dialed: at(5), Ended: at(11)}}, true},
		"held by somebody else":         {loss{Sample: harness.Sample{Local: "127.0.0.1:5001", Dialed: at(5), Ended: at(11)}}, false},
		"failed before the kill":        {loss{Sample: harness.Sample{Local: local, Dialed: at(5), Ended: at(9)}}, false},
		"the same port again, later":    {loss{Sample: harness.Sample{Local: local, Dialed: at(12), Ended: at(13)}}, false},
		"never connected":               {loss{Sample: harness.Sample{Dialed: at(5), Ended: at(11)}}, false},
		"connected in the same instant": {loss{Sample: harness.Sample{Local: local, Dialed: at(10), Ended: at(10)}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJournal(func() {})
			j.victims = []victim{{pid: 1, when: at(10), conns: map[string]bool{local: true}}}
			if got := j.excused(tt.loss); got != tt.want {
				t.Errorf("excused: %t", got)
			}
		})
	}
}

func TestALossEndsTheRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	j := newJournal(cancel)
	j.lose(loss{kind: "each", Sample: harness.Sample{Err: errors.New("reset")}})
	if !j.failed() || ctx.Err() == nil {
		t.Error("the run goes on")
	}
}

func TestCalmComesAfterWhatWasDone(t *testing.T) {
	j := newJournal(func() {})
	before := time.Now()
	j.stir(time.Hour)
	j.settled(time.Now())
	if j.quiet() || j.undisturbed(before) {
		t.Error("quiet before it can show")
	}
	j.shows = time.Now().Add(-time.Second)
	j.settled(time.Now())
	if !j.quiet() || j.undisturbed(before) || !j.undisturbed(time.Now().Add(time.Second)) {
		t.Error("not quiet afterwards")
	}
}
