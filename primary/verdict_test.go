package primary

import (
	"testing"
	"time"

	"github.com/norestart/norestart/control"
)

// TestBack: a rollback goes to a good generation with a content from before
// that of the current one, and never forward.
func TestBack(t *testing.T) {
	const (
		good = control.Good
		bad  = control.Failed
		left = control.RolledBack
		open = control.Undecided
	)
	type gens []struct {
		outcome control.Outcome
		of      int
	}
	tests := map[string]struct {
		gens gens // numbered from 1
		cur  int
		want int // 0: none
	}{
		"the one before":                 {gens{{good, 0}, {good, 0}}, 2, 1},
		"from one that fails":            {gens{{good, 0}, {bad, 0}}, 2, 1},
		"not to one that failed":         {gens{{good, 0}, {bad, 0}, {good, 0}}, 3, 1},
		"not to one that was never seen": {gens{{good, 0}, {open, 0}, {good, 0}}, 3, 1},
		"of a failed reload":             {gens{{good, 0}, {bad, 0}}, 1, 0},
		"a second time":                  {gens{{good, 0}, {left, 0}, {good, 1}}, 3, 0},
		"a second time, further back":    {gens{{good, 0}, {good, 0}, {left, 0}, {good, 2}}, 4, 1},
		"never to what is newer":         {gens{{good, 0}, {good, 0}, {good, 1}}, 3, 0},
		"after a new one, to the copy":   {gens{{good, 0}, {left, 0}, {good, 1}, {good, 0}}, 4, 3},
		"forward by name, then back":     {gens{{good, 0}, {left, 0}, {good, 1}, {good, 2}}, 4, 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := &pool{gen: test.cur}
			for i, g := range test.gens {
				p.generations = append(p.generations, &generation{number: i + 1, outcome: g.outcome, of: g.of})
			}
			got := 0
			if g := p.back(); g != nil {
				got = g.number
			}
			if got != test.want {
				t.Errorf("back to %d, want %d", got, test.want)
			}
		})
	}
}

// TestProbation: a worker that is given up condemns its generation soon after
// that was found good, and not when it has served for long.
func TestProbation(t *testing.T) {
	tests := map[string]struct {
		outcome control.Outcome
		since   time.Duration
		want    control.Outcome
	}{
		"undecided":   {control.Undecided, 0, control.Failed},
		"soon":        {control.Good, time.Minute, control.Failed},
		"late":        {control.Good, probation + time.Minute, control.Good},
		"rolled back": {control.RolledBack, time.Minute, control.RolledBack},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := &generation{number: 2, outcome: test.outcome, decided: time.Now().Add(-test.since)}
			p := &pool{generations: []*generation{g}}
			p.gaveUp(2, "web/0 exited with status 2")
			if g.outcome != test.want {
				t.Errorf("%s, want %s", g.outcome, test.want)
			}
		})
	}
}

// TestOutcomeOfEarlierRecords: what wrote no outcome told which generations
// were given up.
func TestOutcomeOfEarlierRecords(t *testing.T) {
	tests := map[string]struct {
		r    generationRecord
		want control.Outcome
	}{
		"given up":   {generationRecord{Number: 1, Burned: true}, control.Failed},
		"earlier":    {generationRecord{Number: 1}, control.Good},
		"current":    {generationRecord{Number: 2}, control.Good},
		"in reload":  {generationRecord{Number: 3}, control.Undecided},
		"on record":  {generationRecord{Number: 1, Outcome: control.Undecided}, control.Undecided},
		"both told":  {generationRecord{Number: 1, Burned: true, Outcome: control.RolledBack}, control.RolledBack},
		"of a later": {generationRecord{Number: 1, Outcome: "excellent"}, "excellent"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.r.judged(2); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
