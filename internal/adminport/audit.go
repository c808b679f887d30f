package adminport

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/norestart/norestart/internal/audit"
)

// audit writes one record. A failure is logged; a caller that must not go on
// without a record looks at the error.
func (g *gate) audit(r audit.Record) error { return g.auditAs(string(r.Event), r) }

// auditAs is audit for a record of which only so many are written for a user; the
// others are counted as what, with the error [errCounted].
func (g *gate) auditAs(what string, r audit.Record) error {
	if r.Event == audit.EventLogin {
		user, _ := g.lookup(r.User)
		r.Role = user.Role
	}
	r.Argv = audit.Clip(r.Argv) // before it is sent: the receiver takes at most 64 KiB
	if !g.shares.take(r, what, time.Now()) {
		return errCounted
	}
	err := g.write(r)
	if err != nil {
		g.logf("audit: %v", err)
	}
	return err
}

// A user's share of the audit log. Records beyond it are only counted, and the
// counts are written.
const (
	shareBurst = 256 << 10 // bytes, some 450 commands
	shareRate  = 128       // bytes a second, some 11 MB a day
	shareEvery = time.Minute
)

var errCounted = errors.New("more records than the user's share")

// shares are those of all users. Clients that have not logged in share one.
type shares struct {
	mu     sync.Mutex // protects byUser; a leaf
	byUser map[string]*share
}

type share struct {
	room  float64 // bytes; negative if records that had to be written took more
	at    time.Time
	more  map[string]int // records that were only counted, by kind
	since time.Time      // of the first of them
	last  audit.Record
}

func (s *shares) take(r audit.Record, what string, now time.Time) bool {
	if r.Spared() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	user := r.User
	if r.Event == audit.EventRefused {
		user = "" // a name that the client has chosen
	}
	mine := s.byUser[user]
	if mine == nil {
		mine = &share{room: shareBurst, at: now}
		if s.byUser == nil {
			s.byUser = map[string]*share{}
		}
		s.byUser[user] = mine
	}
	mine.room = min(shareBurst, mine.room+shareRate*now.Sub(mine.at).Seconds())
	mine.at = now
	if size := float64(r.Size()); mine.room >= size || r.Event == audit.EventEnd { // its start is on the log
		mine.room -= size
		return true
	}
	if mine.more == nil {
		mine.more, mine.since = map[string]int{}, now
	}
	mine.more[what]++
	mine.last = r
	return false
}

// due takes the counts that are a minute old, or all.
func (s *shares) due(now time.Time, all bool) (records []audit.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for user, mine := range s.byUser {
		if mine.more != nil && (all || now.Sub(mine.since) >= shareEvery) {
			records = append(records, mine.record(user, now))
			mine.more = nil
		}
		if mine.more == nil && now.Sub(mine.at).Seconds()*shareRate+mine.room >= shareBurst {
			delete(s.byUser, user)
		}
	}
	return records
}

func (m *share) record(user string, now time.Time) audit.Record {
	r := audit.Record{Event: audit.EventMore, Via: m.last.Via, User: user, From: m.last.From, Role: m.last.Role}
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(m.more)) {
		r.Count += m.more[what]
		parts = append(parts, fmt.Sprintf("%s %d", what, m.more[what]))
	}
	r.Reason = fmt.Sprintf("within %v: %s", now.Sub(m.since).Round(time.Second), strings.Join(parts, ", "))
	return r
}

func (g *gate) tellMore(all bool) {
	for _, r := range g.shares.due(time.Now(), all) {
		if err := g.write(r); err != nil {
			g.logf("audit: %d records of %s were left out, %s: %v", r.Count, r.User, r.Reason, err)
		}
	}
}

// tellRefused writes a refusal to the audit log, once a minute for a source.
func (g *gate) tellRefused(addr net.Addr, via string, why error) {
	if g.limits.mayLog(addr) {
		_ = g.audit(refusal(addr, via, why)) // the client is refused either way
	}
}

// tellClosed is tellRefused for the accept loop, which must not wait for the log.
func (g *gate) tellClosed(addr net.Addr, why error) {
	if !g.limits.mayLog(addr) {
		return
	}
	select {
	case g.closed <- refusal(addr, "", why):
	default: // the disk hangs, and there are more sources than somebody would read of
	}
}

func refusal(addr net.Addr, via string, why error) audit.Record {
	return audit.Record{Event: audit.EventRefused, Via: via, From: addr.String(), Reason: why.Error()}
}

func (g *gate) writeClosed() {
	for r := range g.closed {
		_ = g.audit(r) // the client was refused either way
	}
}
