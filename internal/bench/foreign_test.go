package main

import (
	"testing"
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

func FuzzWrkRate(f *testing.F) {
	f.Add("Requests/sec:  1.5\n")
	f.Fuzz(func(t *testing.T, text string) {
		if rate, err := wrkRate(text); err == nil && rate < 0 {
			t.Errorf("rate %v", rate)
		}
	})
}
