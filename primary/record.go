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
	"github.com/norestart/norestart/internal/proc"
)

// recordVersion is the version of [record]. If only fields are added it stays the
// same: unknown fields are ignored, missing ones are zero.
const recordVersion = 1

// record is what outlives a primary: what it was asked to run, and what it runs.
// A new primary takes the wishes as they stand here; the processes are only a
// hint, because each proves itself by its hello.
type record struct {
	Version int       `cbor:"version"`
	BootID  string    `cbor:"boot_id"` // of the machine: pids of an earlier boot mean nothing
	PID     int       `cbor:"pid"`
	Since   time.Time `cbor:"since"`
	// Mono is the monotonic clock at that time; 0: unknown.
	Mono    time.Duration `cbor:"mono,omitempty"`
	Stopped bool          `cbor:"stopped"` // on purpose, with nothing left
	LastJob int           `cbor:"last_job"`
	Key     []byte        `cbor:"key,omitempty"` // of the workers' secrets, for when its file has gone
	// Program, Path and Dir are of the primary that wrote it: see [Config].
	Program string         `cbor:"program,omitempty"`
	Path    string         `cbor:"path,omitempty"`
	Dir     string         `cbor:"dir,omitempty"`
	Pools   []poolRecord   `cbor:"pools"`
	Jobs    []jobRecord    `cbor:"jobs"` // running ones that go on
	Errands []errandRecord `cbor:"errands,omitempty"`
	Ended   []jobRecord    `cbor:"ended,omitempty"`
	// App is the configuration of the application that holds.
	App []byte `cbor:"app,omitempty"`
}

type poolRecord struct {
	Name        string             `cbor:"name"`
	Target      int                `cbor:"target"`
	Gen         int                `cbor:"gen"`
	LastGen     int                `cbor:"last_gen"`
	Failure     string             `cbor:"failure,omitempty"`
	Generations []generationRecord `cbor:"generations"`
	Slots       []slotRecord       `cbor:"seats"`
	// Listen is what new workers accept on, Previous what those of another
	// generation do: for primaries that do not read it of each generation.
	Listen   []string `cbor:"listen,omitempty"`
	Previous []string `cbor:"former,omitempty"`
	// Drain and Kill are how long a worker has from a TERM to the next, and from
	// there to KILL, if the cluster is ended without a primary.
	Drain time.Duration `cbor:"drain,omitempty"`
	Kill  time.Duration `cbor:"kill,omitempty"`
	// StopSignal asks them to end; empty: TERM.
	StopSignal string `cbor:"stop_signal,omitempty"`
	Spare      bool   `cbor:"spare,omitempty"` // their descendants
	// Runs and Reloads are what the clock begins next.
	Runs    appointmentRecord `cbor:"runs,omitzero"`
	Reloads appointmentRecord `cbor:"reloads,omitzero"`
	// Stored is how many descriptors its programs have left to the next.
	Stored int `cbor:"stored,omitempty"`
	// Open are the listeners, in order: with port 0 an address does not tell which
	// sockets are its own.
	Open []openRecord `cbor:"open,omitempty"`
}

type openRecord struct {
	Addr  string `cbor:"addr"`  // as configured
	Bound string `cbor:"bound"` // with its port
}

type slotRecord struct {
	Want     int             `cbor:"want"`
	Hold     control.State   `cbor:"hold,omitempty"`
	Gen      int             `cbor:"gen"`
	Cur      *processRecord  `cbor:"cur,omitempty"`
	Next     *processRecord  `cbor:"next,omitempty"`
	Old      []processRecord `cbor:"old,omitempty"`
	Coming   int             `cbor:"coming,omitempty"` // generation to start when the old ones have gone
	Within   time.Duration   `cbor:"within,omitempty"` // for it to become ready
	Alone    bool            `cbor:"alone,omitempty"`  // nothing is started before they have ended
	Failures int             `cbor:"failures,omitempty"`
	Recent   []time.Time     `cbor:"recent,omitempty"`
	Restarts int             `cbor:"restarts,omitempty"`
	Exits    []control.Exit  `cbor:"exits,omitempty"`
	Crashes  crashes         `cbor:"crashes,omitzero"`
	Left     []leftover      `cbor:"left,omitempty"` // of workers that have gone, and is being ended
}

type processRecord struct {
	Inc      uint64    `cbor:"inc"`
	Gen      int       `cbor:"gen"`
	PID      int       `cbor:"pid"`
	Start    uint64    `cbor:"start"` // proc_pid_stat(5), field 22
	Ready    bool      `cbor:"ready"`
	ReadyAt  time.Time `cbor:"ready_at"`
	Since    time.Time `cbor:"since"`
	Ending   int       `cbor:"ending"`
	Final    bool      `cbor:"final,omitempty"`
	Linger   bool      `cbor:"linger,omitempty"`
	Closed   bool      `cbor:"closed,omitempty"`
	Previous bool      `cbor:"former,omitempty"` // accepts on those of its pool
	Reason   string    `cbor:"reason,omitempty"`
	Status   string    `cbor:"status,omitempty"`  // what it says of itself
	Leaving  bool      `cbor:"leaving,omitempty"` // it ends by itself
	Told     bool      `cbor:"told,omitempty"`    // another program: its stop signal has been sent
	// Former are its main processes before this one, which may still run.
	Former []proc.ID `cbor:"was_main,omitempty"`
	// Reloading is since when it takes in its configuration anew.
	Reloading time.Time `cbor:"reloading,omitzero"`
	// Group is the control group of the process and its descendants.
	Group   proc.Cgroup `cbor:"group,omitempty"`
	Private string      `cbor:"private,omitempty"` // address, under control.ShareRelay
}

type jobRecord struct {
	Job    control.Job           `cbor:"job"`
	Events []control.JobEvent    `cbor:"events"`
	Seq    int                   `cbor:"seq,omitempty"` // of the last event
	Asked  control.ReloadRequest `cbor:"asked"`
	Cycles []cycleRecord         `cbor:"cycles"`
	// Fill and Empty are the workers that a job still waits for: until they
	// are ready, or have gone.
	Fill   []string `cbor:"fill,omitempty"`
	Empty  []string `cbor:"empty,omitempty"`
	Failed []string `cbor:"failed,omitempty"`
	Asker  uint64   `cbor:"asker,omitempty"` // the worker that asked for its own pool
	// Early is whether its errands were not over.
	Early  bool         `cbor:"early,omitempty"`
	Config *configState `cbor:"config,omitempty"` // that it takes in
	// Summary is what a job will tell at its end of the pools that it has
	// finished.
	Summary []control.JobEvent `cbor:"summary,omitempty"`
}

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

	Watch   time.Duration `cbor:"watch,omitempty"`
	Allowed int           `cbor:"allowed,omitempty"` // crashes
	Watched time.Time     `cbor:"watched,omitzero"`  // since when

	// State is the whole reload. The fields above are for primaries that do not
	// know it; nil: one of those wrote it.
	State *reload `cbor:"state,omitempty"`
}

const (
	recordFile = "cluster"
	// smallRecord is what earlier primaries read; a record is larger only if it
	// must be.
	smallRecord = durable.MaxSecret
	maxRecord   = 64 << 20
)

// bootID names this boot of the machine (random(4), sysctl kernel.random).
func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it, start times still tell
	return strings.TrimSpace(string(b))
}

// loadRecord reads what the last primary left; nil if there was none.
func loadRecord(state string) (*record, error) {
	path := filepath.Join(state, recordFile)
	data, err := durable.ReadLargeSecret(path, maxRecord)
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

// record is the cluster as it is now.
func (l *loop) record() record {
	r := record{Version: recordVersion, BootID: l.bootID, PID: l.cfg.PID, Since: l.since, Mono: l.began, LastJob: l.lastJob, Key: l.spawn.key}
	r.Program, r.Path, r.Dir = l.cfg.Program, l.cfg.Binary, l.cfg.Dir
	r.Errands, r.App = l.errandRecords(), l.lastingApp()
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
	r := jobRecord{Job: j.value(), Events: j.events(), Seq: j.seq}
	switch w := j.work.(type) {
	case *reloadJob:
		return w.record(j)
	case *configJob:
		r = w.cycles.record(j)
		r.Config, r.Early = &w.configState, false
	case *fill:
		r.Fill, r.Failed = idList(w.waiting), w.failed
	case *empty:
		r.Empty = idList(w.waiting)
	}
	return r
}

func idList(slots []*slot) []string {
	var all []string
	for _, s := range slots {
		all = append(all, s.id())
	}
	return all
}

func (p *pool) record() poolRecord {
	r := poolRecord{Name: p.spec.Name, Target: p.target, Gen: p.gen, LastGen: p.lastGen, Failure: p.failure}
	r.Drain, r.Kill, r.StopSignal = p.spec.LameDuck+p.spec.DrainTimeout, p.spec.KillAfter, p.spec.StopSignal
	r.Runs, r.Reloads = p.runs.record(), p.reloads.record()
	r.Spare = p.spec.KillGroup == control.KillOwnGroup
	for _, g := range p.generations {
		r.Generations = append(r.Generations, g.record())
	}
	for _, s := range p.slots {
		r.Slots = append(r.Slots, s.record())
	}
	r.Open, r.Stored = p.openRecords(), len(p.storedImages())
	r.Listen = p.listenOf(p.coming())
	for _, s := range r.Slots {
		for _, o := range s.processes() {
			if o.Previous {
				r.Previous = p.listenOf(o.Gen)
			}
		}
	}
	return r
}

func (p *pool) openRecords() (all []openRecord) {
	if p.adoption != nil {
		return p.wasOpen // they are coming back
	}
	for _, o := range p.open {
		all = append(all, openRecord{o.addr, o.group.Addr()})
	}
	return all
}

// coming is the generation that new workers get.
func (p *pool) coming() int {
	switch c := p.reloading(); {
	case c == nil:
		return p.gen
	case c.Phase == reloadGivingUp:
		return c.From
	default:
		return c.target()
	}
}

func (s *slot) record() slotRecord {
	r := slotRecord{
		Want: int(s.want), Hold: s.hold, Gen: s.gen, Failures: s.failures, Recent: s.recent, Restarts: s.restarts, Exits: s.exits, Crashes: s.crashes,
		Coming: s.coming.gen, Within: s.coming.within, Alone: s.alone,
	}
	r.Cur, r.Next = s.processRecord(s.cur), s.processRecord(s.next)
	for _, o := range s.leftovers {
		r.Left = append(r.Left, *o)
	}
	for _, p := range s.old {
		if o := s.processRecord(p); o != nil {
			r.Old = append(r.Old, *o)
		}
	}
	return r
}

// processRecord is nil for a process without a pid: there is nothing to find
// again.
func (s *slot) processRecord(p processState) *processRecord {
	run := s.processes[p.inc]
	if !p.some() || run == nil || run.handle == nil {
		return nil
	}
	return &processRecord{
		Inc: p.inc, Gen: p.gen, PID: run.pid(), Start: run.handle.StartTime(), Ready: p.ready, ReadyAt: p.readyAt,
		Since: p.since, Ending: int(p.ending), Final: p.final, Linger: p.linger, Closed: run.closed, Reason: p.reason, Status: run.status, Leaving: run.leaving, Told: run.told, Former: run.formerIDs(), Reloading: run.reloading, Group: run.group, Private: run.private,
		Previous: !run.closed && !slices.Equal(s.pool.listenOf(p.gen), s.pool.listenOf(s.pool.coming())),
	}
}

func (w *reloadJob) record(j *job) jobRecord {
	r := jobRecord{Job: j.value(), Events: j.lasting(), Seq: j.seq, Summary: j.summary} // an exec in place is over in the next image, or never was
	if j.caller != nil {
		r.Asker = j.caller.inc
	}
	r.Early = !w.errands.over
	for _, c := range w.todo {
		r.Asked = c.request
		r.Cycles = append(r.Cycles, c.record())
	}
	return r
}

func (c *poolReload) record() cycleRecord {
	state := c.copy()
	return cycleRecord{
		Pool: c.pool.spec.Name, Begun: c.Phase != reloadQueued, From: c.From, To: c.To, Canary: c.passed(), Undoing: c.Phase == reloadRollingBack,
		Cause: c.Cause, Counted: c.Counted, Total: c.Total, Again: c.Again, Watch: c.Watch, Allowed: c.Allowed, Watched: c.Watched, State: &state,
	}
}

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
