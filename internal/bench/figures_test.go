package main

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuantiles(t *testing.T) {
	var hundred []float64
	for i := range 100 {
		hundred = append(hundred, float64(100-i)) // 100 … 1, not sorted
	}
	for _, tt := range []struct {
		values  []float64
		q, want float64
	}{
		{[]float64{7}, 0.5, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 2, 3}, 0.5, 2.5},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
	} {
		if got := quantile(tt.values, tt.q); got != tt.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", tt.values, tt.q, got, tt.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v", got)
	}
	if hundred[0] != 100 {
		t.Error("quantile sorted its argument")
	}
}

func TestPairsTakeTurns(t *testing.T) {
	var order []string
	thing := func(name string, v float64) func() (float64, error) {
		return func() (float64, error) { order = append(order, name); return v, nil }
	}
	p, err := pairs(t.Context(), 3, thing("a", 3), thing("b", 2))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "b", "a", "a", "b"}, order); diff != "" {
		t.Error(diff)
	}
	if p.ratio() != 1.5 || p.String() != "1.50 × (1.50–1.50)" {
		t.Errorf("ratio %v, %q", p.ratio(), p)
	}
}

func TestPairsEndAtTheFirstFailure(t *testing.T) {
	broken := errors.New("broken")
	n := 0
	count := func() (float64, error) { n++; return 1, nil }
	_, err := pairs(t.Context(), 3, count, func() (float64, error) { return 0, broken })
	if !errors.Is(err, broken) || n != 1 {
		t.Errorf("err %v after %d", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pairs(ctx, 3, count, count); !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("err %v after %d", err, n)
	}
}

func TestSeconds(t *testing.T) {
	for s, want := range map[float64]string{0.0012345: "1.23ms", 0.0123456: "12.3ms", 1.23456: "1.235s", math.NaN(): "none"} {
		if got := seconds(s); got != want {
			t.Errorf("seconds(%v) = %q, want %q", s, got, want)
		}
	}
}

func TestAlternateBeginsWithTheNext(t *testing.T) {
	var order []string
	thing := func(name string, v float64) func() (float64, error) {
		return func() (float64, error) { order = append(order, name); return v, nil }
	}
	all, err := alternate(t.Context(), 2, thing("a", 1), thing("b", 2), thing("c", 3))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "b", "c", "a"}, order); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]float64{{1, 1}, {2, 2}, {3, 3}}, all); diff != "" {
		t.Error(diff)
	}
}

func TestWhatFailsIsNotDoneAgain(t *testing.T) {
	broken := errors.New("broken")
	n := 0
	if _, err := repeatFor(time.Minute, []func() error{func() error { n++; return broken }}); !errors.Is(err, broken) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}

func TestFewRequestsDecideNothingButAFailure(t *testing.T) {
	for _, tt := range []struct {
		failed, asked int
		want          verdict
	}{{0, enough - 1, tooFew}, {0, enough, reached}, {1, 2, missed}, {1, enough, missed}} {
		if got := judgeFailures(tt.failed, tt.asked); got != tt.want {
			t.Errorf("judgeFailures(%d, %d) = %q, want %q", tt.failed, tt.asked, got, tt.want)
		}
	}
}
