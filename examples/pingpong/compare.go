package pingpong

import (
	"fmt"
	"strings"
)

// Result is what a comparison has found. A message that was received several times
// counts once as received and each further time as doubled.
type Result struct {
	Sent, Received, Lost, Doubled, Misordered int

	Redelivered int      // of the doubled ones: those that the crash of a worker explains
	Crashes     int      // processes that began without the state of the one before
	Trouble     []string // the first things that are wrong, a line each
	State       string   // ok, wrong (a counter jumped), or unfinished
}

// OK reports whether all is as it should be.
func (r Result) OK() bool {
	return r.State == "ok" && r.Sent == r.Received && r.Lost == 0 && r.Doubled == r.Redelivered && r.Misordered == 0
}

func (r Result) String() string {
	explained := ""
	if r.Doubled > 0 || r.Crashes > 0 {
		explained = fmt.Sprintf(" redelivered=%d", r.Redelivered)
	}
	return fmt.Sprintf("sent=%d received=%d lost=%d doubled=%d%s misordered=%d state=%s",
		r.Sent, r.Received, r.Lost, r.Doubled, explained, r.Misordered, r.State)
}

const mostTrouble = 20

func (r *Result) note(format string, args ...any) {
	if len(r.Trouble) < mostTrouble {
		r.Trouble = append(r.Trouble, fmt.Sprintf(format, args...))
	}
}

// identity is one message of the application.
type identity struct {
	from, to, kind string
	lane, number   int
}

func (i identity) String() string {
	return fmt.Sprintf("%s %d of lane %d from %s to %s", i.kind, i.number, i.lane, i.from, i.to)
}

// stream is what keeps its order. Messages of one sending process have those of the
// mailbox, those of a lane that of their numbers.
type stream struct {
	from, to, kind string
	lane           int
	incarnation    uint64
}

// arrival is the first receipt of a message, or one of a crash's doubles.
type arrival struct {
	Entry
	life int // of the receiver: how many times the slot has begun anew
}

// comparison goes through the journals in order.
type comparison struct {
	Result
	sent  map[identity]bool
	first map[identity]arrival
	last  map[stream]uint64
}

// Compare compares the journals of a run, those of each slot in the order of its
// processes, as [Read] returns them.
func Compare(all []Process) Result {
	c := comparison{Result: Result{State: "ok"}, sent: make(map[identity]bool), first: make(map[identity]arrival), last: make(map[stream]uint64)}
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Slot == all[0].Slot {
			n++
		}
		c.slot(all[:n])
		all = all[n:]
	}
	c.Sent, c.Received = len(c.sent), len(c.first)
	if c.Sent == 0 {
		c.State = "unfinished"
		c.note("nothing was sent")
	}
	for m := range c.sent {
		if _, ok := c.first[m]; !ok {
			c.Lost++
			c.note("lost: %v", m)
		}
	}
	for m := range c.first {
		if !c.sent[m] {
			c.note("not acknowledged: %v", m)
		}
	}
	return c.Result
}

// slot is all processes of one.
func (c *comparison) slot(all []Process) {
	counter, life, ended := 0, 0, false
	for i, p := range all {
		if len(p.Entries) == 1 && p.Entries[0].What == Inherited {
			continue // it may have ended before it served: then the one before has gone on
		}
		for _, e := range p.Entries {
			switch e.What {
			case Began:
				if counter = 0; i > 0 {
					life++
					c.Crashes++
				}
			case Sent:
				c.sent[identity{p.Slot, e.Peer, e.Kind, e.Lane, e.Number}] = true
			case Received:
				counter++
				c.received(p.Slot, arrival{e, life})
			case Ended:
				ended = true
			}
			if e.What != Sent && e.Counter != counter {
				c.State = "wrong"
				c.note("counter: %s has counted %d messages in %s, not %d", p.Slot, e.Counter, p.name(), counter)
				counter = e.Counter
			}
		}
	}
	if !ended && c.State == "ok" {
		c.State = "unfinished"
		c.note("unfinished: %s has not sent and received all", all[0].Slot)
	}
}

func (c *comparison) received(slot string, now arrival) {
	m := identity{now.Peer, slot, now.Kind, now.Lane, now.Number}
	if first, doubled := c.first[m]; doubled {
		c.Doubled++
		if explained(first, now) {
			c.Redelivered++
		} else {
			c.note("doubled: %v", m)
		}
		return
	}
	c.first[m] = now
	lane := stream{from: m.from, to: slot, kind: m.kind, lane: m.lane}
	mailbox := stream{from: m.from, to: slot, incarnation: now.Incarnation}
	if c.falls(lane, uint64(m.number)) || c.falls(mailbox, now.Seq) {
		c.Misordered++
		c.note("misordered: %v", m)
	}
}

// falls reports whether a number of a stream does not come after the ones before.
func (c *comparison) falls(s stream, number uint64) bool {
	falls := number <= c.last[s]
	c.last[s] = max(c.last[s], number)
	return falls
}

// explained reports whether a message may come twice: the receiver was killed before
// it could acknowledge the first one, or the sender before it knew of that.
func explained(first, now arrival) bool {
	return now.Redelivered && now.life > first.life ||
		(now.Again || first.Again) && now.Incarnation != first.Incarnation
}

// Report is what is printed about a run: what is wrong, and the result as the last
// line.
func (r Result) Report() string {
	return strings.Join(append(r.Trouble, r.String()), "\n") + "\n"
}
