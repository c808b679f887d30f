package primary

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

// TestKeyIsPutBack: its file has gone while workers live that prove themselves
// by it.
func TestKeyIsPutBack(t *testing.T) {
	for name, file := range map[string][]byte{"gone": nil, "another": bytes.Repeat([]byte("x"), keySize)} {
		t.Run(name, func(t *testing.T) {
			l := newSurvivors(t, aged("web", 2))
			for i := range 2 {
				l.comeBack(l.serving(i, uint64(11+i)), ready)
			}
			l.record.Key = l.key
			path := filepath.Join(l.cfg.State, keyFile)
			must(t, os.Remove(path))
			if file != nil {
				must(t, os.WriteFile(path, file, 0o600))
			}
			l.next()
			if d := cmp.Diff([]uint64{11, 12}, l.incarnations()); d != "" {
				t.Errorf("incarnations (-want +got):\n%s", d)
			}
			if key, _, err := durable.ReadSecret(path); !bytes.Equal(key, l.key) {
				t.Errorf("the file holds %q, %v", key, err)
			}
			r, err := loadRecord(l.cfg.State)
			must(t, err)
			if !bytes.Equal(r.Key, l.key) {
				t.Errorf("the record holds %q", r.Key)
			}
		})
	}
}

// TestFindKey: a new one is made only where no worker would need the old.
func TestFindKey(t *testing.T) {
	start, err := proc.StartTime(os.Getpid())
	must(t, err)
	running := func(r record, start uint64) *record {
		r.BootID = bootID()
		r.Pools = []poolRecord{{Name: "web", Slots: []slotRecord{{Cur: &processRecord{PID: os.Getpid(), Start: start}}}}}
		return &r
	}
	file, recorded := bytes.Repeat([]byte("f"), keySize), bytes.Repeat([]byte("r"), keySize)
	for name, test := range map[string]struct {
		file   []byte
		record *record
		want   []byte // nil: to be made
		fails  string
	}{
		"first start":                 {},
		"no record":                   {file: file, want: file},
		"an earlier primary's record": {file: file, record: running(record{}, start), want: file},
		"both":                        {file: file, record: running(record{Key: recorded}, start), want: recorded},
		"the record alone":            {record: running(record{Key: recorded}, start), want: recorded},
		"neither":                     {record: running(record{}, start), fails: "workers of the last primary live"},
		"neither, all have gone":      {record: running(record{}, start+1)},
		"neither, stopped":            {record: &record{Stopped: true}},
		"stopped":                     {file: file, record: &record{Stopped: true, Key: recorded}, want: file},
		"half a key":                  {file: file[1:], fails: "31 bytes, must be 32"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if test.file != nil {
				must(t, os.WriteFile(filepath.Join(dir, keyFile), test.file, 0o600))
			}
			key, stored, err := findKey(dir, test.record)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("%v, want %q", err, test.fails)
				}
				return
			}
			if err != nil || !bytes.Equal(key, test.want) || stored != (test.want != nil && bytes.Equal(test.file, test.want)) {
				t.Errorf("%q, in the file: %t, %v", key, stored, err)
			}
		})
	}
}

// TestSelfCheckOfTheKey: a new binary that would know none of the workers is
// refused before anything is touched.
func TestSelfCheckOfTheKey(t *testing.T) {
	l := newSurvivors(t, quick("web", 1))
	must(t, os.Remove(filepath.Join(l.cfg.State, keyFile)))
	start, err := proc.StartTime(os.Getpid())
	must(t, err)
	l.pool().Slots[0].Cur = &processRecord{PID: os.Getpid(), Start: start}
	write := func() {
		data, err := ipc.Encode(l.record)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(l.cfg.State, recordFile), data, 0o600))
	}
	write()
	if err := CheckKey(l.cfg.State); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a key: %v", err)
	}
	l.record.Key = l.key
	write()
	must(t, CheckKey(l.cfg.State))
}
