package app

import (
	"strings"
	"testing"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/shell"
)

func TestPoolNames(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "web": true, "a_b-9": true, strings.Repeat("a", 32): true,
		"": false, "9a": false, "_a": false, "-a": false, "Web": false, "a.b": false, "a\n": false, "ä": false, "a\xff": false, strings.Repeat("a", 33): false,
	} {
		if got := isPoolName(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

func TestAdminAddr(t *testing.T) {
	for _, tt := range []struct {
		cfg  shell.Config
		want string
	}{
		{shell.Config{}, "127.0.0.1:7777"},
		{shell.Config{Port: -1}, "127.0.0.1:0"},
		{shell.Config{Host: "::1", Port: 22}, "[::1]:22"},
	} {
		if got := adminAddr(&tt.cfg); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.cfg, got, tt.want)
		}
	}
}

func TestCheckPool(t *testing.T) {
	for want, spec := range map[string]control.PoolSpec{
		"":                            {},
		"-2 workers: must be between": {Workers: -2},
		"BackoffMin is 1m0s: must be above 0 and at most BackoffMax, 30s": {BackoffMin: time.Minute},
		"LostAfter is 15s: must be at least three times Beat, 10s":        {Beat: 10 * time.Second},
		"DrainTimeout is -1s: must be above 0, or 0 for the default":      {DrainTimeout: -time.Second},
	} {
		err := checkPool(spec.WithDefaults())
		if err == nil && want != "" || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", spec, err, want)
		}
	}
}
