package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// B3, B4, B5: one address holds a thousand silent connections, another brings
// wrong passwords as fast as it can. Who knows the password gets in from a
// third, and the shell worker stays small. How quickly he does is a figure of
// docs/benchmarks.md: here it only has to happen.
func TestB3_B4_B5_login_under_attack(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	b, err := prepare(ctx, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(b.dir); err != nil {
			t.Error(err)
		}
	})
	report, err := measureAttack(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	report.print(&out, "-only attack", "A login under attack")
	t.Log(out.String())
	for _, r := range report.rows {
		if strings.Contains(r.what, "memory") && r.verdict != judge(true) {
			t.Errorf("%s: %s, want %s", r.what, r.reached, r.target)
		}
	}
}
