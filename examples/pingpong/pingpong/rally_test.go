package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/norestart/norestart/examples/pingpong"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNext(t *testing.T) {
	for _, tt := range []struct {
		name, kind string
		rally      rally
		limit      int
		want       int // 0: nothing may be sent
	}{
		{"the first ping", ping, rally{}, 1, 1},
		{"not yet", ping, rally{}, 0, 0},
		{"a pong is missing", ping, rally{Pinged: 1}, 100, 0},
		{"the next ping", ping, rally{Pinged: 1, Ponged: 1}, 5, 2},
		{"all of this step", ping, rally{Pinged: 1, Ponged: 1}, 4, 0},
		{"its pong came before a crash", ping, rally{Pinged: 1, Ponged: 2}, 100, 2},
		{"a pong", pong, rally{Got: 3, Answered: 2}, 0, 3},
		{"no pong", pong, rally{Got: 3, Answered: 3}, 100, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := rallies{Lanes: [lanes]rally{tt.rally}}
			m, ok := r.next(tt.kind, 0, tt.limit)
			if !ok {
				m.Number = 0
			}
			if m.Number != tt.want {
				t.Errorf("next is %d, want %d", m.Number, tt.want)
			}
		})
	}
}

// TestShare: the lanes of a slot play all of its rallies between them.
func TestShare(t *testing.T) {
	for all := range 20 {
		sum := 0
		for lane := range lanes {
			sum += share(lane, all)
		}
		if sum != all {
			t.Errorf("%d rallies are shared as %d", all, sum)
		}
	}
}

func TestRecalled(t *testing.T) {
	message := func(kind string, number int) pingpong.Message {
		return pingpong.Message{Kind: kind, Lane: 1, Number: number}
	}
	all := []pingpong.Process{
		{Slot: "actors/0", Incarnation: 1, Entries: []pingpong.Entry{
			{What: pingpong.Began},
			{What: pingpong.Sent, Message: message(ping, 1)},
			{What: pingpong.Received, Message: message(pong, 1)},
			{What: pingpong.Received, Message: message(ping, 1)},
		}},
		{Slot: "actors/0", Incarnation: 5, Entries: []pingpong.Entry{
			{What: pingpong.Inherited},
			{What: pingpong.Sent, Message: message(pong, 1)},
			{What: pingpong.Received, Message: message(ping, 2)},
		}},
		{Slot: "actors/1", Incarnation: 2, Entries: []pingpong.Entry{{What: pingpong.Received, Message: message(pong, 9)}}},
	}
	got, crashed, err := recalled(all, "actors/0")
	if err != nil || !crashed {
		t.Fatalf("crashed %t, %v", crashed, err)
	}
	want := rallies{Asked: true, Lanes: [lanes]rally{1: {Pinged: 1, Ponged: 1, Got: 2, Answered: 1}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recalled (-want +got):\n%s", diff)
	}
	if got, crashed, err := recalled(all, "actors/3"); err != nil || crashed || got != (rallies{}) {
		t.Errorf("the first process of a slot recalls %+v, %t, %v", got, crashed, err)
	}
}

func TestSchedule(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    options
		want []event
	}{
		{"nothing", options{}, nil},
		{"a message asks for the only reload", options{reloads: 1}, nil},
		{"spread", options{reloads: 4, execs: 2, kills: 1}, []event{reload, execs, kill, reload, execs, reload}},
		{"every second kill within a reload", options{reloads: 3, kills: 3}, []event{kill, killInReload, reload, kill}},
		{"kills without reloads", options{kills: 2, workerKills: 1}, []event{kill, killWorker, kill}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.o.schedule()); diff != "" {
				t.Errorf("schedule (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPace(t *testing.T) {
	last := 100
	for after := time.Duration(0); after < time.Minute; after += 100 * time.Millisecond {
		now := pace(100, 200, after, time.Second)
		if now < last || now > 200 {
			t.Fatalf("after %v: %d, before %d", after, now, last)
		}
		last = now
	}
	if got := pace(100, 200, time.Second, time.Second); got != 163 {
		t.Errorf("at the usual end: %d, want 163", got)
	}
}
