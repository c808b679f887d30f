package primary

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/norestart/norestart/control"
)

// kindRollback is the kind of a job that goes back to an earlier generation.
const kindRollback = "rollback"

// probation is how long a good generation may turn out to be bad after all: by
// a worker that is given up. One that served for longer had been good, whatever
// ends its workers now.
const probation = 10 * time.Minute

type generationRecord struct {
	Number int       `cbor:"number"`
	Path   string    `cbor:"path"`
	Dev    uint64    `cbor:"dev"`
	Ino    uint64    `cbor:"ino"`
	Argv   []string  `cbor:"argv"`
	Env    []string  `cbor:"env"`
	Dir    string    `cbor:"dir"`
	Since  time.Time `cbor:"since"`
	Burned bool      `cbor:"burned,omitempty"` // given up: for primaries that know no outcome
	Kept   string    `cbor:"kept,omitempty"`
	Made   *settings `cbor:"made,omitempty"`

	Outcome control.Outcome `cbor:"outcome,omitempty"`
	Why     string          `cbor:"why,omitempty"`
	Decided time.Time       `cbor:"decided,omitzero"`
	Of      int             `cbor:"of,omitempty"` // the generation that it is a copy of
	Build   *build          `cbor:"build,omitempty"`
	Listen  []string        `cbor:"listen,omitempty"`
	Script  bool            `cbor:"script,omitempty"`
}

// judged is the outcome of a generation on record. Earlier primaries wrote down
// only which were given up; the others had been good if the pool went to them.
func (r generationRecord) judged(current int) control.Outcome {
	switch {
	case r.Outcome != "":
		return r.Outcome
	case r.Burned:
		return control.Failed
	case r.Number <= current:
		return control.Good
	}
	return control.Undecided
}

func (g *generation) record() generationRecord {
	dev, ino := g.binary.Identity()
	return generationRecord{
		g.number, g.binary.Path(), dev, ino, g.argv, g.env, g.dir, g.since, g.givenUp(), g.kept, g.made,
		g.outcome, g.why, g.decided, g.of, g.build, g.listen, g.script,
	}
}

// root is the generation whose content this one has.
func (g *generation) root() int { return cmp.Or(g.of, g.number) }

// givenUp tells whether nothing goes to this generation unless it is named.
func (g *generation) givenUp() bool {
	return g.outcome == control.Failed || g.outcome == control.RolledBack
}

func (g *generation) decide(o control.Outcome, why string) {
	g.outcome, g.why, g.decided = o, why, time.Now()
}

// verdict is the outcome as a value; nil while there is no generation.
func (g *generation) verdict() *control.Verdict {
	if g == nil {
		return nil
	}
	return &control.Verdict{Generation: g.number, Outcome: g.outcome, Why: g.why, Time: g.decided}
}

// prove finds that the current generation of a pool is good: every worker that
// should be ready is. While a job tries another one, that decides.
func (l *loop) prove(p *pool) {
	g := p.generation(p.gen)
	if p.job != nil || g == nil || g.outcome == control.Good || p.ready() == 0 || p.status().Short() > 0 {
		return
	}
	g.decide(control.Good, "")
	l.changed = true
}

// gaveUp takes in that a slot was given up because its process of a generation
// failed too often: soon after a reload it is the generation that is bad.
func (p *pool) gaveUp(number int, why string) {
	g := p.generation(number)
	if g == nil || g.givenUp() || g.outcome == control.Good && time.Since(g.decided) > probation {
		return
	}
	g.decide(control.Failed, why)
}

// leave marks the generation that a rollback has gone back from, and those with
// the same content: none of them is an earlier good one.
func (p *pool) leave(from, to *generation, owner string) {
	if from == nil || to.root() >= from.root() {
		return
	}
	why := fmt.Sprintf("to generation %d, by %s", to.number, owner)
	for _, g := range p.generations {
		if g.root() == from.root() {
			g.decide(control.RolledBack, cmp.Or(g.why, why))
		}
	}
}

// copied tells whether a later generation has the content of this one.
func (p *pool) copied(g *generation) bool {
	return slices.ContainsFunc(p.generations, func(o *generation) bool { return o.number > g.number && o.root() == g.root() })
}

// back is the generation that a rollback without a number goes to: the last
// good one with a content from before that of the current one, so that a second
// rollback goes further back and never forward; nil: there is none.
func (p *pool) back() *generation {
	cur := p.generation(p.gen)
	for _, g := range slices.Backward(p.generations) {
		if cur != nil && g.root() < cur.root() && g.outcome == control.Good {
			return g
		}
	}
	return nil
}

// noWayBack is why there is no generation to go back to.
func (p *pool) noWayBack() string {
	cur := p.generation(p.gen)
	switch {
	case cur != nil && cur.of != 0:
		return fmt.Sprintf("%s runs a copy of generation %d, and no earlier good one is kept", p.spec.Name, cur.of)
	case slices.ContainsFunc(p.generations, func(g *generation) bool { return g.number < p.gen }):
		return fmt.Sprintf("no earlier generation of %s was good; one that is named is started all the same", p.spec.Name)
	}
	return fmt.Sprintf("no earlier generation of %s is kept", p.spec.Name)
}

// tried is the generation that has been given up with just what a reload would
// start now; nil: there is none.
func (p *pool) tried(now version) *generation {
	for _, g := range slices.Backward(p.generations) {
		if g.givenUp() && len(g.differs(now)) == 0 && (g.build == nil || g.build.Time.Equal(now.written)) {
			return g
		}
	}
	return nil
}

// judged adds to a pool's status what is known of its generations.
func (p *pool) judged(st *control.PoolStatus, now version) {
	g := p.generation(p.gen)
	if g == nil {
		return
	}
	if g.givenUp() {
		st.Failing = g.verdict()
	}
	if now.made != nil && len(g.differs(now)) > 0 {
		st.Tried = p.tried(now).verdict()
	}
	if g = p.back(); g != nil {
		st.Back = g.number
	}
}
