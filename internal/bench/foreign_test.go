package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrkRate(t *testing.T) {
	const good = "Running 1s test @ http://127.0.0.1:1/\n  2 threads and 32 connections\n  76543 requests in 1.00s, 9.1MB read\nRequests/sec:  76123.45\nTransfer/sec:      9.05MB\n"
	if got, err := wrkRate(good); err != nil || got != 76123.45 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{
		"", "unable to connect to 127.0.0.1:1 Connection refused\n",
		"  Socket errors: connect 0, read 3, write 0, timeout 0\nRequests/sec:  10.00\n",
		"  Non-2xx or 3xx responses: 4\nRequests/sec:  10.00\n",
	} {
		if got, err := wrkRate(bad); err == nil {
			t.Errorf("%q gave %v", bad, got)
		}
	}
}

func TestWrkLines(t *testing.T) {
	const text = "  Latency Distribution\n     99%    4.35ms\n  Socket errors: connect 0, read 3, write 0, timeout 0\nRequests/sec:  10.00\n"
	if diff := cmp.Diff("Socket errors: connect 0, read 3, write 0, timeout 0; 99% 4.35ms; Requests/sec: 10.00", wrkLines(text)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("no socket errors", wrkLines("")); diff != "" {
		t.Error(diff)
	}
}

func TestParseMemory(t *testing.T) {
	const rollup = "00400000-7ffde463d000 ---p 00000000 00:00 0                              [rollup]\n" +
		"Rss:               12032 kB\nPss:                4400 kB\nPss_Dirty:          4293 kB\nPss_Anon:           2644 kB\nPss_File:           1756 kB\nPrivate_Dirty:      2964 kB\n"
	got, err := parseMemory([]byte(rollup))
	if err != nil {
		t.Fatal(err)
	}
	want := memory{rss: 12032 << 10, pss: 4400 << 10, anon: 2644 << 10, file: 1756 << 10, dirty: 2964 << 10}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(memory{})); diff != "" {
		t.Error(diff)
	}
	if _, err := parseMemory([]byte("Rss: 12 kB\n")); err == nil {
		t.Error("a report without Pss was taken")
	}
	if _, err := parseMemory([]byte("Rss: many kB\n")); err == nil {
		t.Error("a figure that is none was taken")
	}
}

func FuzzForeign(f *testing.F) {
	f.Add("Rss: 1 kB\nPss: 1 kB\nPss_Anon: 1 kB\nPss_File: 1 kB\nPrivate_Dirty: 1 kB\n")
	f.Add("Requests/sec:  1.5\n")
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := parseMemory([]byte(text)); err == nil && (m.rss < 0 || m.pss < 0 || m.dirty < 0) {
			t.Errorf("%+v", m)
		}
		if rate, err := wrkRate(text); err == nil && rate < 0 {
			t.Errorf("rate %v", rate)
		}
	})
}
