package primary

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/ipc"
)

// recordVersion is the version of [record]. One that only adds fields keeps
// its number: unknown fields are ignored, missing ones are zero.
const recordVersion = 1

// record is what of a primary outlives it: what it was asked to run, and what
// it runs. A new primary takes the wishes as they stand here; of the processes
// it is only a hint, for each proves itself by its hello.
type record struct {
	Version int       `cbor:"version"`
	BootID  string    `cbor:"boot_id"` // of the machine: pids of an earlier boot mean nothing
	PID     int       `cbor:"pid"`
	Since   time.Time `cbor:"since"`
	// Mono is what the clock that nobody sets said then; 0: it is not known.
	Mono    time.Duration `cbor:"mono,omitempty"`
	Stopped bool          `cbor:"stopped"` // on purpose, with nothing left
	LastJob int           `cbor:"last_job"`
	Pools   []poolRecord  `cbor:"pools"`
	Jobs    []jobRecord   `cbor:"jobs"` // running ones that go on
	Ended   []jobRecord   `cbor:"ended,omitempty"`
}

type poolRecord struct {
	Name        string             `cbor:"name"`
	Target      int                `cbor:"target"`
	Gen         int                `cbor:"gen"`
	LastGen     int                `cbor:"last_gen"`
	Failure     string             `cbor:"failure,omitempty"`
	Generations []generationRecord `cbor:"generations"`
	Seats       []seatRecord       `cbor:"seats"`
	Listen      []string           `cbor:"listen,omitempty"` // what its workers accept on
	Former      []string           `cbor:"former,omitempty"` // and those that a reload has not replaced, or had not brought back
	// Drain and Kill are how long a worker has from a TERM to the next, and from
	// there to KILL, if the cluster is ended without a primary.
	Drain time.Duration `cbor:"drain,omitempty"`
	Kill  time.Duration `cbor:"kill,omitempty"`
}

type generationRecord struct {
	Number int       `cbor:"number"`
	Path   string    `cbor:"path"`
	Dev    uint64    `cbor:"dev"`
	Ino    uint64    `cbor:"ino"`
	Argv   []string  `cbor:"argv"`
	Env    []string  `cbor:"env"`
	Dir    string    `cbor:"dir"`
	Since  time.Time `cbor:"since"`
	Burned bool      `cbor:"burned,omitempty"`
	Kept   string    `cbor:"kept,omitempty"`
	Made   *settings `cbor:"made,omitempty"`
}

type seatRecord struct {
	Want     int             `cbor:"want"`
	Hold     control.State   `cbor:"hold,omitempty"`
	Gen      int             `cbor:"gen"`
	Cur      *processRecord  `cbor:"cur,omitempty"`
	Next     *processRecord  `cbor:"next,omitempty"`
	Old      []processRecord `cbor:"old,omitempty"`
	Coming   int             `cbor:"coming,omitempty"` // generation to start when the old ones have gone
	Within   time.Duration   `cbor:"within,omitempty"` // for it to become ready
	Alone    bool            `cbor:"alone,omitempty"`  // nothing is started before they have
	Failures int             `cbor:"failures,omitempty"`
	Recent   []time.Time     `cbor:"recent,omitempty"`
	Restarts int             `cbor:"restarts,omitempty"`
	Exits    []control.Exit  `cbor:"exits,omitempty"`
}

type processRecord struct {
	Inc     uint64    `cbor:"inc"`
	Gen     int       `cbor:"gen"`
	PID     int       `cbor:"pid"`
	Start   uint64    `cbor:"start"` // proc_pid_stat(5), field 22
	Ready   bool      `cbor:"ready"`
	ReadyAt time.Time `cbor:"ready_at"`
	Since   time.Time `cbor:"since"`
	Ending  int       `cbor:"ending"`
	Final   bool      `cbor:"final,omitempty"`
	Closed  bool      `cbor:"closed,omitempty"`
	Former  bool      `cbor:"former,omitempty"` // accepts on the former addresses of its pool
	Reason  string    `cbor:"reason,omitempty"`
}

type jobRecord struct {
	Job    control.Job           `cbor:"job"`
	Events []control.JobEvent    `cbor:"events"`
	Asked  control.ReloadRequest `cbor:"asked"`
	Cycles []cycleRecord         `cbor:"cycles"`
	// Fill and Empty are the workers that a job still waits for: until they
	// are ready, or have gone.
	Fill   []string `cbor:"fill,omitempty"`
	Empty  []string `cbor:"empty,omitempty"`
	Failed []string `cbor:"failed,omitempty"`
	Asker  uint64   `cbor:"asker,omitempty"` // the worker that asked for its own pool
}

// cycleRecord is the intent of a reload of one pool.
type cycleRecord struct {
	Pool    string `cbor:"pool"`
	Begun   bool   `cbor:"begun"`
	From    int    `cbor:"from"`
	To      int    `cbor:"to"`
	Canary  bool   `cbor:"canary"` // has passed
	Undoing bool   `cbor:"undoing,omitempty"`
	Cause   string `cbor:"cause,omitempty"`
	Counted int    `cbor:"counted"`
	Total   int    `cbor:"total"`
	Again   bool   `cbor:"again,omitempty"` // replace by the same: worker restart
}

const recordFile = "cluster"

// bootID names this boot of the machine (random(4), sysctl kernel.random).
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it, start times still tell
	return strings.TrimSpace(string(b))
}

// loadRecord reads what the last primary left; nil if there was none.
func loadRecord(state string) (*record, error) {
	path := filepath.Join(state, recordFile)
	data, _, err := durable.ReadSecret(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	r, err := decodeRecord(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func decodeRecord(data []byte) (*record, error) {
	var r record
	if err := ipc.Decode(data, &r); err != nil {
		return nil, err
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("state version %d, this primary knows %d", r.Version, recordVersion)
	}
	return &r, nil
}

// saver writes the record: at once and durably where a promise depends on it,
// else soon, for it is only a hint.
type saver struct {
	path string
	last []byte
	safe bool // last is on disk
	sick bool // the last write failed
}

// write stores the record if it is another than the last one. Only a durable
// one is worth a wait for the disk.
func (s *saver) write(r record, lasting bool) error {
	data, err := ipc.Encode(r)
	if err == nil && len(data) > durable.MaxSecret {
		data, err = ipc.Encode(r.brief())
	}
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

// brief is the record without what only people read: with hundreds of workers
// that die again and again it would be larger than [loadRecord] reads.
func (r record) brief() record {
	r.Ended, r.Pools = nil, slices.Clone(r.Pools)
	for i := range r.Pools {
		p := &r.Pools[i]
		p.Seats = slices.Clone(p.Seats)
		for k := range p.Seats {
			p.Seats[k].Exits = slices.Clone(p.Seats[k].Exits)
			for n := range p.Seats[k].Exits {
				p.Seats[k].Exits[n].Lines = nil
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

// freshSuffix is of the record while replaceFile writes it.
const freshSuffix = ".new"

// replaceFile is a write that a crash of the process survives, and one of the
// machine need not: its processes do not either.
func replaceFile(path string, data []byte) error {
	temp := path + freshSuffix
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return os.Rename(temp, path)
}

// record is the cluster as it is now.
func (l *loop) record() record {
	r := record{Version: recordVersion, BootID: l.bootID, PID: l.cfg.PID, Since: l.since, Mono: l.began, LastJob: l.lastJob}
	for _, p := range l.pools {
		r.Pools = append(r.Pools, p.record())
	}
	for _, j := range l.jobs {
		switch {
		case j.State != control.JobRunning:
			r.Ended = append(r.Ended, jobRecord{Job: j.value()})
		case j.Kind != "stop": // a primary that is killed while it stops has not stopped
			r.Jobs = append(r.Jobs, j.record())
		}
	}
	r.reckon(func(t time.Time) time.Time { return unset(l.since, t) })
	return r
}

func (j *job) record() jobRecord {
	r := jobRecord{Job: j.value(), Events: j.events}
	switch w := j.work.(type) {
	case *reload:
		return w.record(j)
	case *fill:
		r.Fill, r.Failed = idList(w.waiting), w.failed
	case *empty:
		r.Empty = idList(w.waiting)
	}
	return r
}

func idList(seats []*seat) []string {
	var all []string
	for _, s := range seats {
		all = append(all, s.id())
	}
	return all
}

func (p *pool) record() poolRecord {
	r := poolRecord{Name: p.spec.Name, Target: p.target, Gen: p.gen, LastGen: p.lastGen, Failure: p.failure}
	r.Listen = p.addrs
	if p.former != nil {
		r.Former = p.former.addrs
	} else if p.gathering != nil {
		r.Former = p.gathering.former.addrs // it has not come back yet
	}
	r.Drain, r.Kill = p.spec.LameDuck+p.spec.DrainTimeout, p.spec.KillAfter
	for _, g := range p.generations {
		dev, ino := g.binary.Identity()
		r.Generations = append(r.Generations, generationRecord{g.number, g.binary.Path(), dev, ino, g.argv, g.env, g.dir, g.since, g.burned, g.kept, g.made})
	}
	for _, s := range p.seats {
		r.Seats = append(r.Seats, s.record())
	}
	return r
}

func (s *seat) record() seatRecord {
	r := seatRecord{
		Want: int(s.want), Hold: s.hold, Gen: s.gen, Failures: s.failures, Recent: s.recent, Restarts: s.restarts, Exits: s.exits,
		Coming: s.coming.gen, Within: s.coming.within, Alone: s.alone,
	}
	r.Cur, r.Next = s.processRecord(s.cur), s.processRecord(s.next)
	for _, p := range s.old {
		if o := s.processRecord(p); o != nil {
			r.Old = append(r.Old, *o)
		}
	}
	return r
}

// processRecord is nil for a process that has not been started yet: until it
// has a pid there is nothing to find again.
func (s *seat) processRecord(p process) *processRecord {
	run := s.runs[p.inc]
	if !p.some() || run == nil || run.process == nil {
		return nil
	}
	return &processRecord{
		Inc: p.inc, Gen: p.gen, PID: run.pid(), Start: run.process.StartTime(), Ready: p.ready, ReadyAt: p.readyAt,
		Since: p.since, Ending: int(p.ending), Final: p.final, Closed: run.closed, Reason: p.reason,
		Former: run.former || s.pool.leaves(run),
	}
}

func (w *reload) record(j *job) jobRecord {
	r := jobRecord{Job: j.value(), Events: j.events} // a succession is over in the next image, or was never begun
	if j.asker != nil {
		r.Asker = j.asker.inc
	}
	for _, c := range w.todo {
		r.Asked = c.request
		cr := cycleRecord{Pool: c.pool.spec.Name, Begun: c.begun, From: c.from, To: c.by, Canary: c.canary, Undoing: c.undoing, Cause: c.cause, Counted: c.counted, Total: c.total, Again: c.to == nil}
		if c.undoing && c.to != nil {
			cr.To = c.to.number
		}
		r.Cycles = append(r.Cycles, cr)
	}
	return r
}

// pool is what a record says of one pool; nil if nothing.
func (r *record) pool(name string) *poolRecord {
	if r == nil {
		return nil
	}
	for i := range r.Pools {
		if r.Pools[i].Name == name {
			return &r.Pools[i]
		}
	}
	return nil
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

// persist writes the record now; lasting, when a promise depends on it. A trouble
// is told once.
func (l *loop) persist(lasting bool) {
	sick := l.saver.sick
	if err := l.write(lasting); err != nil && !sick {
		l.tell(control.Event{Kind: "cluster.trouble", Text: err.Error()})
	}
}

func (l *loop) write(lasting bool) error {
	l.changed = false
	err := l.saver.write(l.record(), lasting)
	if l.saver.sick = err != nil; err != nil {
		return fmt.Errorf("write down what runs: %w", err)
	}
	return nil
}

// stopped is the record of the same cluster with nothing left of it.
func (r record) stopped() record {
	r.Stopped, r.Jobs = true, nil
	r.Pools = slices.Clone(r.Pools)
	for i := range r.Pools {
		r.Pools[i].Seats = nil
	}
	return r
}

// depart leaves the record of a cluster that was stopped on purpose.
func (l *loop) depart() {
	_ = l.saver.write(l.record().stopped(), true) // processes that have gone are found to have gone without it, too
}
