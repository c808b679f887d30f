package harness

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMemory(t *testing.T) {
	const rollup = "00400000-7ffde463d000 ---p 00000000 00:00 0                              [rollup]\n" +
		"Rss:               12032 kB\nPss:                4400 kB\nPss_Dirty:          4293 kB\nPss_Anon:           2644 kB\nPss_File:           1756 kB\nPrivate_Dirty:      2964 kB\nVmHWM:\t   13000 kB\n"
	got, err := parseMemory([]byte(rollup))
	if err != nil {
		t.Fatal(err)
	}
	want := Memory{RSS: 12032 << 10, PSS: 4400 << 10, Anon: 2644 << 10, File: 1756 << 10, Dirty: 2964 << 10, Peak: 13000 << 10}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := parseMemory([]byte("Rss: 12 kB\n")); err == nil {
		t.Error("a report without Pss was taken")
	}
	if _, err := parseMemory([]byte("Rss: many kB\n")); err == nil {
		t.Error("a figure that is none was taken")
	}
}

func FuzzParseMemory(f *testing.F) {
	f.Add("Rss: 1 kB\nPss: 1 kB\nPss_Anon: 1 kB\nPss_File: 1 kB\nPrivate_Dirty: 1 kB\nVmHWM: 1 kB\n")
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := parseMemory([]byte(text)); err == nil && (m.RSS < 0 || m.PSS < 0 || m.Dirty < 0 || m.Peak < 0) {
			t.Errorf("%+v", m)
		}
	})
}
