package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// figure is what one turn came to.
type figure struct {
	Rate    float64 // messages a second
	Median  time.Duration
	Longest time.Duration // of 99 in 100
}

type figures map[string][]figure // by the name of the way

func (f figures) rates(way string) (all []float64) {
	for _, one := range f[way] {
		all = append(all, one.Rate)
	}
	return all
}

// ratio is the median of the turns, and their range.
func (f figures) ratio(a, b string) (float64, string) {
	var all []float64
	for i, one := range f[a] {
		all = append(all, one.Rate/f[b][i].Rate)
	}
	r := median(all)
	return r, fmt.Sprintf("%.2f × (%.2f–%.2f)", r, slices.Min(all), slices.Max(all))
}

// latency is the median of the turns.
func (f figures) latency(way string) string {
	var half, most []time.Duration
	for _, one := range f[way] {
		half, most = append(half, one.Median), append(most, one.Longest)
	}
	return fmt.Sprintf("%v, %v", median(half).Round(time.Microsecond), median(most).Round(time.Microsecond))
}

// median is the upper one of an even number.
func median[T float64 | time.Duration](all []T) T {
	return slices.Sorted(slices.Values(all))[len(all)/2]
}

// print writes the rows as Markdown.
func print(many, one figures) {
	fmt.Println("| what | target | reached | verdict |\n|---|---|---|---|")
	r, text := many.ratio(mail, netRPC)
	verdict := "reached"
	if r < 1 {
		verdict = "**missed**"
	}
	fmt.Printf("| messages a second, 16 senders, against net/rpc | ≥ 1.00 × | %s | %s |\n", text, verdict)
	_, text = many.ratio(mail, natsCore)
	fmt.Printf("| the same, against NATS | – | %s | – |\n", text)
	_, text = one.ratio(mail, netRPC)
	fmt.Printf("| messages a second, one sender, against net/rpc | – | %s | – |\n", text)
	_, text = one.ratio(mail, natsCore)
	fmt.Printf("| the same, against NATS | – | %s | – |\n", text)
	for _, w := range ways {
		fmt.Printf("| a message of one sender, %s: median; 99 of 100 within | – | %s | – |\n", w.name, strings.Replace(one.latency(w.name), ",", ";", 1))
	}
	fmt.Println()
	for _, w := range ways {
		fmt.Printf("- %s: messages a second of 16 senders %.0f; of one %.0f\n", w.name, many.rates(w.name), one.rates(w.name))
	}
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
