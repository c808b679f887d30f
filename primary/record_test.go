package primary

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/ipc"
)

// someRecord has something in every place.
func someRecord() record {
	at := time.Date(2026, 3, 7, 3, 7, 12, 345, time.UTC)
	p := processRecord{
		Inc: 17, Gen: 2, PID: 4711, Start: 99, Ready: true, ReadyAt: at, Since: at,
		Ending: int(termed), Final: true, Linger: true, Closed: true, Reason: "ignored TERM", Private: "127.0.0.1:20123",
	}
	job := control.Job{ID: "7", Kind: "reload", What: "web", Pools: []string{"web"}, Owner: "viola", Since: at, State: control.JobRunning, Done: 1, Total: 3}
	return record{
		Version: recordVersion, BootID: "boot", PID: 4700, Since: at, Mono: time.Hour, LastJob: 7,
		Pools: []poolRecord{{
			Name: "web", Target: 3, Gen: 1, LastGen: 2, Failure: "web/0 ended",
			Generations: []generationRecord{{Number: 2, Path: "/bin/app", Dev: 1, Ino: 2, Argv: []string{"app", "-x"}, Env: []string{"A=b"}, Dir: "/", Since: at}},
			Slots: []slotRecord{
				{
					Want: int(wantRun), Hold: control.Backoff, Gen: 1, Cur: &p, Next: &p, Old: []processRecord{p, p}, Failures: 2,
					Recent: []time.Time{at}, Restarts: 5, Exits: []control.Exit{{Time: at, PID: 3, Code: -1, Signal: "SIGKILL", Uptime: time.Second, Lines: []string{"last"}}},
				},
				{Want: int(wantStopped)},
			},
		}},
		Jobs: []jobRecord{{
			Job: job, Events: []control.JobEvent{{Seq: 1, Event: "replaced", Worker: "web/0", Generation: 2, OK: true, Text: "…"}},
			Asked:  control.ReloadRequest{Pools: []string{"web"}, Timeout: time.Second, MaxSurge: 2, Keep: true},
			Cycles: []cycleRecord{{Pool: "web", Begun: true, From: 1, To: 2, Canary: true, Undoing: true, Cause: "web/1 ended", Counted: 1, Total: 3, Again: true}},
		}},
	}
}

func TestRecordRoundTrip(t *testing.T) {
	want := someRecord()
	dir := t.TempDir()
	s := &saver{path: filepath.Join(dir, recordFile)}
	for _, lasting := range []bool{false, true} {
		must(t, s.write(want, lasting))
		got, err := loadRecord(dir)
		must(t, err)
		if d := cmp.Diff(want, *got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("record, lasting: %t (-want +got):\n%s", lasting, d)
		}
		want.PID++
	}
	if info, err := os.Stat(s.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: environments hold secrets", info.Mode(), err)
	}
}

func TestNoRecord(t *testing.T) {
	if r, err := loadRecord(t.TempDir()); r != nil || err != nil {
		t.Errorf("%v, %v", r, err)
	}
}

// TestRecordOfANewer: what it added is ignored, and another version refused.
func TestRecordOfANewer(t *testing.T) {
	encode := func(v any) []byte {
		data, err := ipc.Encode(v)
		must(t, err)
		return data
	}
	r, err := decodeRecord(encode(map[string]any{"version": recordVersion, "pid": 5, "moon_phase": "full", "pools": []any{map[string]any{"name": "web", "colour": "red"}}}))
	if err != nil || r.PID != 5 || len(r.Pools) != 1 || r.Pools[0].Name != "web" {
		t.Errorf("%+v, %v", r, err)
	}
	for name, data := range map[string][]byte{
		"another version": encode(record{Version: recordVersion + 1}),
		"no version":      encode(map[string]any{"pid": 5}),
		"half":            encode(someRecord())[:200],
		"empty":           {},
		"text":            []byte("hello"),
	} {
		if r, err := decodeRecord(data); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestUnchangedRecordIsNotWritten, unless it has to last and does not yet.
func TestUnchangedRecordIsNotWritten(t *testing.T) {
	s := &saver{path: filepath.Join(t.TempDir(), recordFile)}
	r := someRecord()
	write := func(lasting, want bool) {
		t.Helper()
		_ = os.Remove(s.path) // to see whether it is written again
		must(t, s.write(r, lasting))
		if _, err := os.Stat(s.path); (err == nil) != want {
			t.Errorf("lasting %t: written: %t, want %t", lasting, err == nil, want)
		}
	}
	write(false, true)
	write(false, false)
	write(true, true)
	write(true, false)
	write(false, false)
	r.PID++
	write(false, true)
}

// TestRecordCannotBeWritten: the earlier one stays whole.
func TestRecordCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	s := &saver{path: filepath.Join(dir, recordFile)}
	must(t, s.write(someRecord(), false))
	must(t, os.Mkdir(s.path+".new", 0o700))
	must(t, os.WriteFile(filepath.Join(s.path+".new", "x"), nil, 0o600))
	r := someRecord()
	r.PID++
	if err := s.write(r, false); err == nil {
		t.Error("no error")
	}
	got, err := loadRecord(dir)
	if err != nil || got.PID != r.PID-1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestLargeRecord: lines of workers that die again and again do not make it
// larger than what is read.
func TestLargeRecord(t *testing.T) {
	dir := t.TempDir()
	s := &saver{path: filepath.Join(dir, recordFile)}
	r := someRecord()
	x := control.Exit{PID: 3, Code: 1, Lines: []string{strings.Repeat("x", tailRoom)}}
	for range 512 {
		r.Pools[0].Slots = append(r.Pools[0].Slots, slotRecord{Want: int(wantRun), Exits: []control.Exit{x, x, x, x, x}})
	}
	must(t, s.write(r, false))
	got, err := loadRecord(dir)
	must(t, err)
	if n := len(got.Pools[0].Slots[100].Exits); n != 5 {
		t.Errorf("%d exits are left", n)
	}
	if info, err := os.Stat(s.path); err != nil || info.Size() > durable.MaxSecret {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
}

// TestRecordIsRead, however large the cluster is and whatever happens to it.
func TestRecordIsRead(t *testing.T) {
	exit := control.Exit{Time: time.Now(), PID: 1 << 20, Generation: 3, Incarnation: 1 << 20, Code: 3, Uptime: time.Second, Lines: []string{strings.Repeat("l", 100)}}
	process := &processRecord{Inc: 1 << 20, Gen: 3, PID: 1 << 20, Start: 1 << 30, Ready: true, ReadyAt: time.Now(), Since: time.Now()}
	for _, pools := range []int{1, 3, 4} {
		t.Run(fmt.Sprint(pools), func(t *testing.T) {
			dir := t.TempDir()
			s := &saver{path: filepath.Join(dir, recordFile)}
			r := record{Version: recordVersion}
			for p := range pools {
				pool := poolRecord{Name: fmt.Sprint("pool-", p), Target: 512}
				for range 512 {
					pool.Slots = append(pool.Slots, slotRecord{Want: 1, Gen: 3, Cur: process, Exits: []control.Exit{exit, exit, exit, exit, exit}})
				}
				r.Pools = append(r.Pools, pool)
			}
			job := jobRecord{Job: control.Job{ID: "7", Kind: "reload", State: control.JobRunning}, Seq: keptJobEvents, Cycles: []cycleRecord{{Pool: "pool-0", To: 3}}}
			for i := range keptJobEvents {
				job.Events = append(job.Events, control.JobEvent{Seq: i + 1, Event: "replaced", Worker: "pool-0/1", Text: "worker pool-0/1 replaced: pid 1048576, generation 3"})
			}
			r.Jobs = []jobRecord{job}
			if pools == 4 { // nothing of it can be left out
				r.Pools[0].Generations = []generationRecord{{Number: 3, Env: []string{"A=" + strings.Repeat("x", smallRecord)}}}
			}
			must(t, s.write(r, false))
			got, err := loadRecord(dir)
			must(t, err)
			for i, p := range got.Pools {
				if d := cmp.Diff(r.Pools[i].Slots[511].Cur, p.Slots[511].Cur); d != "" || p.Target != 512 {
					t.Errorf("pool %d, target %d (-want +got):\n%s", i, p.Target, d)
				}
			}
			if j := got.Jobs[0]; j.Seq != keptJobEvents || j.Cycles[0].To != 3 {
				t.Errorf("job %+v", j)
			}
			info, err := os.Stat(s.path)
			must(t, err)
			if pools < 4 && info.Size() > smallRecord {
				t.Errorf("%d bytes are more than an earlier primary reads", info.Size())
			}
			if n := len(r.Pools[0].Slots[0].Exits[0].Lines); n != 1 || len(r.Jobs[0].Events) != keptJobEvents {
				t.Error("the cluster's own state was changed")
			}
		})
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range []record{{}, {Version: recordVersion}, someRecord()} {
		data, err := ipc.Encode(r)
		must(f, err)
		f.Add([]byte(data))
	}
	f.Add([]byte("\xbf\xff"))
	f.Add(bytes.Repeat([]byte("\x81"), 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeRecord(data)
		if err != nil {
			return
		}
		again, err := ipc.Encode(*r)
		must(t, err)
		back, err := decodeRecord(again)
		must(t, err)
		if d := cmp.Diff(r, back, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("again (-want +got):\n%s", d)
		}
	})
}
