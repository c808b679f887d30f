package primary

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/norestart/norestart/control"
)

// hourly reads schedules of which there is one: each full hour.
func hourly(text string) (func(time.Time) time.Time, error) {
	if text != "hourly" {
		return nil, errors.New("not hourly")
	}
	return func(t time.Time) time.Time { return t.Truncate(time.Hour).Add(time.Hour) }, nil
}

// TestDue: something is begun once at its time, whatever is done to the clock.
func TestDue(t *testing.T) {
	at := func(text string) time.Time {
		when, err := time.Parse("15:04:05", text)
		must(t, err)
		return when.AddDate(2026, 0, 0)
	}
	for name, test := range map[string]struct {
		before string // the next time, on record
		clock  []string
		begun  string
		next   string
	}{
		"new":                      {"", []string{"09:59:59", "10:00:00", "10:00:01"}, "10:00:00", "11:00:00"},
		"late":                     {"10:00:00", []string{"10:00:07"}, "10:00:00", "11:00:00"},
		"long ago":                 {"10:00:00", []string{"14:30:00", "14:30:01"}, "10:00:00", "15:00:00"},
		"set back, not twice":      {"10:00:00", []string{"10:00:00", "09:00:01", "10:00:00", "10:59:59"}, "10:00:00", "11:00:00"},
		"set back by far":          {"10:00:00", []string{"10:00:00", "05:10:00", "05:59:59", "06:00:00"}, "10:00:00 06:00:00", "07:00:00"},
		"set on, over two of them": {"10:00:00", []string{"09:50:00", "11:10:00", "11:10:01"}, "10:00:00", "12:00:00"},
	} {
		a := appointment{text: "hourly"}
		if test.before != "" {
			a.at = at(test.before)
		}
		must(t, a.set(Config{Clock: hourly}, "hourly"))
		var begun []string
		for _, now := range test.clock {
			if was, ok := a.due(at(now)); ok {
				begun = append(begun, was.Format("15:04:05"))
			}
		}
		if got := strings.Join(begun, " "); got != test.begun || a.at.Format("15:04:05") != test.next {
			t.Errorf("%s: begun for %s, next %v; want %s, %s", name, got, a.at, test.begun, test.next)
		}
	}
}

// TestKeepTime: a scheduled worker is started at its time, unless the last run has
// not ended; what cannot be begun is told.
func TestKeepTime(t *testing.T) {
	l, slots, _ := programs(t)
	p, s := slots[0].pool, slots[0]
	p.slots, p.target, l.cfg.Clock = slots[:1], 1, hourly
	p.spec.Policy, p.spec.Schedule = control.Never, "hourly"
	l.spawn = &spawner{turns: make(chan struct{})} // nothing is started
	now := time.Date(2026, 11, 30, 2, 30, 0, 0, time.Local)
	tick := func(d time.Duration) {
		now = now.Add(d)
		l.keepTime(now)
	}
	said := func(kind control.EventKind, text string) {
		t.Helper()
		if e := l.lastEvent(t); e.Kind != kind || !strings.Contains(e.Text, text) {
			t.Errorf("event %s: %s; want %s: %s", e.Kind, e.Text, kind, text)
		}
	}
	tick(0)
	if i := s.info(now); !i.Next.Equal(now.Add(30*time.Minute)) || !p.status().Next.Equal(i.Next) {
		t.Errorf("next %v", i.Next)
	}
	tick(30 * time.Minute)
	said(control.EventPoolSkipped, "the run of 2026-11-30 03:00:00 "+now.Format("MST")+" is left out: worker web/0 has been running since")
	delete(s.processes, 1)
	s.slotState = slotState{want: wantRun, hold: control.Dead, gen: 1}
	p.generations, p.gen = []*generation{{number: 2}}, 2
	tick(59 * time.Minute)
	if s.cur.some() {
		t.Error("begun before its time")
	}
	tick(time.Minute)
	if !s.cur.some() || s.cur.gen != 2 {
		t.Fatalf("not begun with what is new: %+v", s.slotState)
	}
	s.signal(s.cur.inc, sigKill)
	l.spawn.wg.Wait()
	s.slotState = slotState{want: wantStopped}
	tick(time.Hour)
	if s.cur.some() {
		t.Error("begun although it is stopped")
	}
	s.slotState = slotState{want: wantRun, hold: control.Done}
	tick(5 * time.Hour)
	if said(control.EventPoolMissed, "the run of 2026-11-30 06:00:00"); s.cur.some() {
		t.Error("a missed run is begun")
	}
	p.spec.ReloadAt = "weekly"
	tick(time.Second)
	said(control.EventPoolTrouble, "pool web: weekly: not hourly")
	if p.spec.Schedule = ""; s.hold != control.Done {
		t.Fatal(s.hold)
	}
	if tick(time.Second); s.hold != "" {
		t.Error("without a schedule it is still kept waiting")
	}
}

// TestReloadByClock: it is a job like any other, and another one is in its way.
func TestReloadByClock(t *testing.T) {
	l, slots, _ := programs(t)
	p := slots[0].pool
	self, err := os.Executable()
	must(t, err)
	l.cfg.Clock, l.cfg.Binary, p.spec.ReloadAt = hourly, self, "hourly"
	now := time.Date(2026, 11, 30, 2, 59, 59, 0, time.Local)
	l.keepTime(now)
	p.job = &job{Job: control.Job{ID: "4", Kind: "scale", What: "web", Owner: "viola", Since: time.Now()}}
	l.keepTime(now.Add(time.Second))
	if e := l.lastEvent(t); e.Kind != control.EventPoolSkipped || !strings.Contains(e.Text, "is left out: scale web by viola has been running for 0s (job 4)") {
		t.Errorf("event %+v", e)
	}
	if r := p.reloads.record(); r.Text != "hourly" || !r.At.Equal(now.Add(time.Hour+time.Second)) {
		t.Errorf("recorded %+v", r)
	}
}
