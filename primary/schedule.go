package primary

import (
	"fmt"
	"time"

	"github.com/norestart/norestart/control"
)

// appointment is what the clock begins for a pool again and again. Its times are
// those of the clock on the wall, without a monotonic reading: who says "at three"
// means that one, whatever was done to it meanwhile.
type appointment struct {
	text string                          // when, as the spec of the pool has it; empty: never
	read bool                            // not of a record only
	next func(after time.Time) time.Time // nil: it cannot be read
	at   time.Time                       // the next time
}

const (
	// missedAfter is how late something may be begun: a tick of a busy machine, or the
	// next primary, comes later than it should.
	missedAfter = time.Minute
	// setBack is by how much the clock may be set back without that something is
	// begun a second time. After more the times are counted anew.
	setBack = 3 * time.Hour
)

// due tells whether the time has come, which it was, and goes on to the next one.
func (a *appointment) due(now time.Time) (was time.Time, ok bool) {
	now = now.Round(0)
	if a.at.IsZero() || a.at.After(a.next(now.Add(setBack))) {
		a.at = a.next(now)
		return was, false
	}
	if now.Before(a.at) {
		return was, false
	}
	was, a.at = a.at, a.next(now)
	return was, true
}

// set reads the schedule, if it is another one than before or that of a record.
func (a *appointment) set(cfg Config, text string) error {
	if text == a.text && (text == "" || a.read) {
		return nil
	}
	before := *a
	*a = appointment{text: text, read: true}
	if text == "" {
		return nil
	}
	if cfg.Clock == nil {
		return fmt.Errorf("%s: this program reads no schedules", text)
	}
	next, err := cfg.Clock(text)
	if err != nil { // the time zone has gone since it was checked
		return fmt.Errorf("%s: %w", text, err)
	}
	if a.next = next; text == before.text {
		a.at = before.at
	}
	return nil
}

// keepTime begins what the clock begins.
func (l *loop) keepTime(now time.Time) {
	for _, p := range l.pools {
		if p.adoption != nil || l.stopping {
			continue
		}
		was := p.runs.text
		l.meet(p, &p.runs, p.spec.Schedule, "run", now, l.runOnce)
		l.meet(p, &p.reloads, p.spec.ReloadAt, "reload", now, l.reloadByClock)
		if was != "" && p.spec.Schedule == "" {
			for _, s := range p.slots {
				if s.hold == control.Done {
					s.hold = "" // it is a worker like others now
				}
			}
		}
	}
}

// meet begins something of a pool if its time has come, and tells why it does not.
func (l *loop) meet(p *pool, a *appointment, text, what string, now time.Time, begin func(*pool) error) {
	before := a.at
	if err := a.set(l.cfg, text); err != nil {
		l.tell(control.Event{Kind: control.EventPoolTrouble, Text: fmt.Sprintf("pool %s: %v", p.spec.Name, err)})
	}
	if a.next == nil {
		return
	}
	was, ok := a.due(now)
	l.changed = l.changed || !a.at.Equal(before)
	if !ok {
		return
	}
	at := fmt.Sprintf("pool %s: the %s of %s", p.spec.Name, what, was.Format(wallTime))
	if now.Round(0).Sub(was) > missedAfter {
		l.tell(control.Event{Kind: control.EventPoolMissed, Text: fmt.Sprintf("%s was missed, the next one is at %s", at, a.at.Format(wallTime))})
		return
	}
	if err := begin(p); err != nil {
		l.tell(control.Event{Kind: control.EventPoolSkipped, Text: fmt.Sprintf("%s is left out: %v", at, err)})
	}
}

const wallTime = "2006-01-02 15:04:05 MST"

// runOnce starts the worker of a scheduled pool.
func (l *loop) runOnce(p *pool) error {
	if p.waits != nil {
		return fmt.Errorf("it %s", p.awaits())
	}
	for _, s := range p.slots {
		switch r := s.processes[s.cur.inc]; {
		case s.want != wantRun: // an operator has stopped it
		case r != nil:
			return fmt.Errorf("worker %s has been running since %s", s.id(), s.cur.since.Format(wallTime))
		case !s.idle() || len(s.leftovers) > 0:
			return fmt.Errorf("what worker %s has started has not ended", s.id())
		default:
			s.gen = p.gen
			l.step(s, input{kind: hRevive})
		}
	}
	return nil
}

// byClock is the owner of jobs that the clock begins.
const byClock = "clock"

func (l *loop) reloadByClock(p *pool) error {
	if p.job != nil {
		return busy(p.job.Job)
	}
	name := p.spec.Name
	go l.reloadAnew(control.ReloadRequest{Pools: []string{name}}, byClock, func(err error) control.Event {
		return control.Event{Kind: control.EventPoolSkipped, Text: fmt.Sprintf("pool %s: its reload by the clock is left out: %v", name, err)}
	})
	return nil
}

type appointmentRecord struct {
	Text string    `cbor:"text"`
	At   time.Time `cbor:"at"`
}

func (a appointment) record() appointmentRecord { return appointmentRecord{a.text, a.at} }

func (r appointmentRecord) appointment() appointment { return appointment{text: r.Text, at: r.At} }
