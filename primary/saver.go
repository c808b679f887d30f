package primary

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/ipc"
)

// saver writes the record: at once and durably if a promise depends on it, else
// soon, because it is only a hint.
type saver struct {
	path string
	last []byte
	safe bool // last is on disk
	sick bool // the last write failed
}

// write stores the record if it differs from the last one. Only a durable one
// waits for the disk.
func (s *saver) write(r record, lasting bool) error {
	data, err := r.encode()
	if err != nil {
		return err
	}
	if string(data) == string(s.last) && (s.safe || !lasting) {
		return nil
	}
	if lasting {
		err = durable.WriteFile(s.path, data, 0o600)
	} else {
		err = replaceFile(s.path, data)
	}
	if err == nil {
		s.last, s.safe = data, lasting
	}
	return err
}

// encode leaves out what only people read if the record is large: first their
// lines, then whole exits and events.
func (r record) encode() (data []byte, err error) {
	for _, form := range []func() record{func() record { return r }, r.brief, r.bare} {
		if data, err = ipc.Encode(form()); err != nil || len(data) <= smallRecord {
			return data, err
		}
	}
	if len(data) > maxRecord {
		return nil, fmt.Errorf("%d bytes: a next primary reads at most %d", len(data), maxRecord)
	}
	return data, nil
}

// brief is the record without the last lines of workers.
func (r record) brief() record {
	r.Ended, r.Pools = nil, slices.Clone(r.Pools)
	for i := range r.Pools {
		p := &r.Pools[i]
		p.Slots = slices.Clone(p.Slots)
		for k := range p.Slots {
			p.Slots[k].Left = nil // this primary ends it
			p.Slots[k].Exits = slices.Clone(p.Slots[k].Exits)
			for n := range p.Slots[k].Exits {
				p.Slots[k].Exits[n].Lines = nil
			}
		}
	}
	r.Jobs = slices.Clone(r.Jobs)
	for i := range r.Jobs {
		r.Jobs[i].Events = slices.Clone(r.Jobs[i].Events)
		for n := range r.Jobs[i].Events {
			r.Jobs[i].Events[n].Lines = nil
		}
	}
	return r
}

// bare is the record without exits and the events of jobs.
func (r record) bare() record {
	r = r.brief() // a copy
	for _, p := range r.Pools {
		for k := range p.Slots {
			p.Slots[k].Exits = nil
		}
	}
	for i := range r.Jobs {
		r.Jobs[i].Events = nil
	}
	return r
}

const freshSuffix = ".new"

// replaceFile survives a crash of the process, and need not survive one of the
// machine, which ends the processes, too.
func replaceFile(path string, data []byte) error {
	temp := path + freshSuffix
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return os.Rename(temp, path)
}

// saveSoon is how long changes are collected before they are written.
const saveSoon = 20 * time.Millisecond

// save writes the record soon, if something has happened.
func (l *loop) save() {
	if !l.changed || l.saving || l.ended {
		return
	}
	l.saving = true
	post := l.post
	time.AfterFunc(saveSoon, func() {
		post(func(l *loop) {
			l.saving = false
			l.persist(false)
		})
	})
}

// persist writes the record now; lasting, if a promise depends on it. A trouble
// is told once.
func (l *loop) persist(lasting bool) {
	sick := l.saver.sick
	if err := l.write(lasting); err != nil && !sick {
		l.tell(control.Event{Kind: control.EventClusterTrouble, Text: err.Error()})
	}
}

func (l *loop) write(lasting bool) error {
	l.changed = false
	err := l.saver.write(l.record(), lasting)
	for _, r := range l.waiting {
		r.letIn(true) // even if it is not on record: better unknown than not at all
	}
	l.waiting = nil
	if l.saver.sick = err != nil; err != nil {
		return fmt.Errorf("write the record: %w", err)
	}
	return nil
}

// stopped is the record of the same cluster with nothing left of it.
func (r record) stopped() record {
	r.Stopped, r.Jobs, r.Key = true, nil, nil
	r.Pools = slices.Clone(r.Pools)
	for i := range r.Pools {
		r.Pools[i].Slots = nil
	}
	return r
}

// depart leaves the record of a cluster that was stopped on purpose.
func (l *loop) depart() {
	_ = l.saver.write(l.record().stopped(), true) // processes are found to have gone without it, too
}
