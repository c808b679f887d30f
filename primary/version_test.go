package primary

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

// The files in testdata/state were written by the first primary that had the
// version in their name. They are never changed: whoever cannot read them any
// more, or writes what that primary could not have read, has made a new version.

func earlier(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "state", name))
	must(t, err)
	return data
}

// TestEarlierRecord: what an earlier primary wrote is read, and written again
// with nothing lost and no other meaning: so either can follow the other.
func TestEarlierRecord(t *testing.T) {
	data := earlier(t, "record-1.cbor")
	r, err := decodeRecord(data)
	must(t, err)
	again, err := ipc.Encode(r)
	must(t, err)
	if d := cmp.Diff([]string(nil), lost("record", loose(t, data), loose(t, again))); d != "" {
		t.Errorf("lost on the way (-want +got):\n%s", d)
	}
	if len(r.Pools) != 1 || r.Pools[0].Slots[0].Next.PID != 4713 || r.Jobs[0].Cycles[0].Cause != "why" {
		t.Errorf("read as %+v", r)
	}
}

// TestEarlierImage: the same for what goes over an exec.
func TestEarlierImage(t *testing.T) {
	data := earlier(t, "image-1.cbor")
	var im image
	must(t, ipc.Decode(data, &im))
	again, err := ipc.Encode(im)
	must(t, err)
	if d := cmp.Diff([]string(nil), lost("image", loose(t, data), loose(t, again))); d != "" {
		t.Errorf("lost on the way (-want +got):\n%s", d)
	}
}

// TestLaterRecord: fields of a later primary of the same version are no reason
// to begin anew.
func TestLaterRecord(t *testing.T) {
	data := earlier(t, "record-1.cbor")
	want, err := decodeRecord(data)
	must(t, err)
	all := loose(t, data).(map[any]any)
	grow(all)
	later, err := ipc.Encode(all)
	must(t, err)
	got, err := decodeRecord(later)
	must(t, err)
	if !reflect.DeepEqual(want, got) {
		t.Errorf("read as %+v, want %+v", got, want)
	}
}

func TestOtherVersionsAreRefused(t *testing.T) {
	for _, version := range []int{0, recordVersion + 1} {
		all := loose(t, earlier(t, "record-1.cbor")).(map[any]any)
		all["version"] = version
		data, err := ipc.Encode(all)
		must(t, err)
		want := fmt.Sprintf("state version %d, this primary knows %d", version, recordVersion)
		if _, err := decodeRecord(data); err == nil || err.Error() != want {
			t.Errorf("version %d: %v, want %q", version, err, want)
		}
	}
}

func TestSelfCheck(t *testing.T) {
	versions := func(low, high int) string { return fmt.Sprintf("%s%d-%d", checkAnswer, low, high) }
	tests := map[string]struct {
		exit proc.Exit
		said string
		want string // in the reason; empty: it may take over
	}{
		"the same version":  {said: versions(recordVersion, recordVersion)},
		"reads two":         {said: versions(recordVersion, recordVersion+1)},
		"chatters first":    {said: "debug\n" + versions(recordVersion, recordVersion)},
		"too old":           {said: versions(recordVersion-2, recordVersion-1), want: "it reads state versions -1 to 0, this primary writes 1"},
		"too new":           {said: versions(recordVersion+1, recordVersion+2), want: "it reads state versions 2 to 3, this primary writes 1"},
		"some program":      {said: "usage: ls", want: "it is not a program of norestart"},
		"silent":            {want: "it is not a program of norestart"},
		"exits with reason": {exit: proc.Exit{Code: 2}, said: "error: no pool", want: `exited with status 2: error: no pool`},
		"killed":            {exit: proc.Exit{Code: -1, Signal: unix.SIGSEGV}, want: "ended by SIGSEGV"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := judge(test.exit, test.said)
			if test.want == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// loose is a value without our types.
func loose(t *testing.T, data []byte) (v any) {
	t.Helper()
	must(t, ipc.Decode(data, &v))
	return v
}

// lost are the places of before that are missing in after, or hold something
// else.
func lost(at string, before, after any) (places []string) {
	switch b := before.(type) {
	case map[any]any:
		a, _ := after.(map[any]any)
		for key, value := range b {
			if other, ok := a[key]; ok {
				places = append(places, lost(fmt.Sprintf("%s.%v", at, key), value, other)...)
			} else {
				places = append(places, fmt.Sprintf("%s.%v", at, key))
			}
		}
	case []any:
		a, _ := after.([]any)
		if len(a) != len(b) {
			return []string{at}
		}
		for i := range b {
			places = append(places, lost(fmt.Sprintf("%s[%d]", at, i), b[i], a[i])...)
		}
	default:
		if !reflect.DeepEqual(before, after) {
			return []string{fmt.Sprintf("%s: %v, was %v", at, after, before)}
		}
	}
	return places
}

// grow gives every map of a record a field that nobody knows.
func grow(v any) {
	switch v := v.(type) {
	case map[any]any:
		for _, value := range v {
			grow(value)
		}
		v["of a later version"] = []any{1, "two"}
	case []any:
		for _, value := range v {
			grow(value)
		}
	}
}
