package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// median of the values; NaN if there are none.
func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile is the value below which the share q of the values lies (nearest
// rank; the middle of two for an even median); NaN if there are none.
func quantile(values []float64, q float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	if q == 0.5 && n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[max(int(math.Ceil(q*float64(n)))-1, 0)]
}

type pair struct{ a, b []float64 }

// pairs measures a and b in turns, and alternates which goes first.
func pairs(ctx context.Context, turns int, a, b func() (float64, error)) (pair, error) {
	all, err := alternate(ctx, turns, a, b)
	return pair{a: all[0], b: all[1]}, err
}

// alternate measures several things in turns, each time beginning with the next
// one, and returns their values in the order of measures.
func alternate(ctx context.Context, turns int, measures ...func() (float64, error)) ([][]float64, error) {
	all := make([][]float64, len(measures))
	for i := range turns {
		if err := ctx.Err(); err != nil {
			return all, err
		}
		for j := range measures {
			k := (i + j) % len(measures)
			v, err := measures[k]()
			if err != nil {
				return all, err
			}
			all[k] = append(all[k], v)
		}
	}
	return all, nil
}

func (p pair) ratios() []float64 {
	var all []float64
	for i := range min(len(p.a), len(p.b)) {
		all = append(all, p.a[i]/p.b[i])
	}
	return all
}

func (p pair) ratio() float64 { return median(p.ratios()) }

// String shows the ratio with its range: "1.12 × (1.08–1.15)".
func (p pair) String() string {
	r := p.ratios()
	if len(r) == 0 {
		return "not measured"
	}
	digits := 2
	if median(r) < 0.1 {
		digits = 4
	}
	return fmt.Sprintf("%.*f × (%.*f–%.*f)", digits, median(r), digits, slices.Min(r), digits, slices.Max(r))
}

// seconds as a duration, short enough for a cell.
func seconds(s float64) string {
	if math.IsNaN(s) {
		return "none"
	}
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func turnsText(values []float64, show func(float64) string) string {
	var all []string
	for _, v := range values {
		all = append(all, show(v))
	}
	return strings.Join(all, ", ")
}

func whole(v float64) string { return fmt.Sprintf("%.0f", v) }
