package config

import (
	"strings"
	"testing"
	"time"
)

// TestClock: what is due in the hour that a night leaves out is not begun, and in
// the one that comes twice it is begun twice.
func TestClock(t *testing.T) {
	for name, test := range map[string]struct {
		schedule, after string
		want            string
	}{
		"daily":          {"TZ=UTC @daily", "2026-11-30T01:02:03Z", "2026-12-01T00:00:00Z 2026-12-02T00:00:00Z"},
		"every":          {"@every 90m", "2026-11-30T01:00:00Z", "2026-11-30T02:30:00Z 2026-11-30T04:00:00Z"},
		"weekday":        {"TZ=UTC 30 6 * * 1-5", "2026-11-27T06:30:00Z", "2026-11-30T06:30:00Z 2026-12-01T06:30:00Z"},
		"left out":       {"TZ=Europe/Berlin 30 2 * * *", "2026-03-28T02:00:00Z", "2026-03-30T00:30:00Z 2026-03-31T00:30:00Z"},
		"twice":          {"TZ=Europe/Berlin 30 2 * * *", "2026-10-24T02:00:00Z", "2026-10-25T00:30:00Z 2026-10-25T01:30:00Z"},
		"utc, never off": {"TZ=UTC 30 2 * * *", "2026-03-28T03:00:00Z", "2026-03-29T02:30:00Z 2026-03-30T02:30:00Z"},
	} {
		next, err := Clock(test.schedule)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		at, err := time.Parse(time.RFC3339, test.after)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for range 2 {
			at = next(at)
			got = append(got, at.UTC().Format(time.RFC3339))
		}
		if got := strings.Join(got, " "); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
