package main

import (
	"fmt"

	"github.com/norestart/norestart/examples/pingpong"
)

// rallies are the state of one slot: what goes to its successor. In each lane a slot
// sends pings to the next slot and gets their pongs, and answers the pings of the
// slot before.
type rallies struct {
	Counter int  // messages that were handled
	Asked   bool // for the reload
	Lanes   [lanes]rally
}

// rally has the numbers of the last messages.
type rally struct{ Pinged, Ponged, Got, Answered int }

const (
	ping = "ping"
	pong = "pong"
)

// received notes a message. A double changes only the counter.
func (r *rallies) received(m pingpong.Message) error {
	if m.Lane < 0 || m.Lane >= lanes {
		return fmt.Errorf("message %v: there is no such lane", m)
	}
	r.Counter++
	lane := &r.Lanes[m.Lane]
	if m.Kind == ping {
		lane.Got = max(lane.Got, m.Number)
	} else {
		lane.Ponged = max(lane.Ponged, m.Number)
	}
	return nil
}

// sent notes that a message was handled.
func (r *rallies) sent(m pingpong.Message) {
	lane := &r.Lanes[m.Lane]
	if m.Kind == ping {
		lane.Pinged = m.Number
	} else {
		lane.Answered = m.Number
	}
}

// next is the message that a lane may send now, if limit rallies of the slot may have
// begun.
func (r *rallies) next(kind string, lane, limit int) (m pingpong.Message, ok bool) {
	l := r.Lanes[lane]
	m = pingpong.Message{Kind: kind, Lane: lane}
	if kind == pong {
		m.Number = l.Answered + 1
		return m, l.Answered < l.Got
	}
	m.Number = l.Pinged + 1
	return m, l.Ponged >= l.Pinged && l.Pinged < share(lane, limit)
}

// share is how many of the rallies of a slot are those of a lane.
func share(lane, all int) int { return (all + lanes - 1 - lane) / lanes }

// over reports whether all rallies have been played, those of the slot before, too.
func (r *rallies) over(rounds int) bool {
	for lane, l := range r.Lanes {
		if n := share(lane, rounds); l != (rally{n, n, n, n}) {
			return false
		}
	}
	return true
}

// recalled is what the journals of a slot tell after a crash. The counter begins
// anew, as the state that was lost.
func recalled(all []pingpong.Process, slot string) (r rallies, crashed bool, err error) {
	for _, p := range all {
		if p.Slot != slot {
			continue
		}
		crashed = true
		for _, e := range p.Entries {
			switch e.What {
			case pingpong.Sent:
				r.sent(e.Message)
			case pingpong.Received:
				err = r.received(e.Message)
			}
			if err != nil {
				return r, crashed, err
			}
		}
	}
	r.Counter, r.Asked = 0, crashed
	return r, crashed, nil
}
