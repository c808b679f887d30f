package adminport

import (
	"strings"
	"testing"
	"time"

	"github.com/norestart/norestart/internal/audit"
)

// Somebody who may only look writes without end: the first records are there,
// then one that tells what else there was. No other records are left out.
func TestShares(t *testing.T) {
	var s shares
	now := time.Now()
	look := audit.Record{Event: audit.EventStart, User: "viewer", Role: "viewer", Needs: "viewer", Argv: []string{"foo", strings.Repeat("x", 300)}}
	written := 0
	for range 10_000 {
		if s.take(look, "foo", now) {
			written++
		}
	}
	if want := shareBurst / look.Size(); written != want {
		t.Errorf("%d records written, want %d", written, want)
	}
	denied := look
	denied.Event = audit.EventDenied
	end := look
	end.Event = audit.EventEnd
	others := []audit.Record{
		{Event: audit.EventStart, User: "viola", Role: "viewer", Needs: "viewer"},
		{Event: audit.EventRefused, User: "viewer"},
		{Event: audit.EventStart, User: "viewer", Role: "operator", Needs: "operator"},
		{Event: audit.EventEnd, User: "viewer", Role: "admin"},
		end,
	}
	for _, r := range others {
		if !s.take(r, "x", now) {
			t.Errorf("left out: %+v", r)
		}
	}
	if s.take(denied, "denied stop", now) {
		t.Error("a denied command has room of its own")
	}
	if got := s.due(now.Add(shareEvery-time.Second), false); len(got) != 0 {
		t.Errorf("told too soon: %+v", got)
	}
	got := s.due(now.Add(shareEvery), false)
	if len(got) != 1 || got[0].Event != audit.EventMore || got[0].User != "viewer" || got[0].Count != 10_001-written {
		t.Fatalf("told: %+v", got)
	}
	if want := "within 1m0s: denied stop 1, foo "; !strings.HasPrefix(got[0].Reason, want) {
		t.Errorf("%q, want %q", got[0].Reason, want)
	}
	if got := s.due(now.Add(time.Hour), true); len(got) != 0 {
		t.Errorf("told twice: %+v", got)
	}
	if !s.take(look, "foo", now.Add(time.Minute)) { // 7,680 bytes later
		t.Error("no room again")
	}
	for range 10_000 {
		s.take(audit.Record{Event: audit.EventRefused, User: strings.Repeat("m", 200)}, "refused", now)
	}
	if got := s.due(now.Add(shareEvery), true); len(got) != 1 || got[0].User != "" {
		t.Errorf("strangers: %+v", got)
	}
	if s.due(now.Add(24*time.Hour), true); len(s.byUser) != 0 {
		t.Errorf("%d users are kept in mind", len(s.byUser))
	}
}

// What is only counted is told, and a command whose start is not on the log has no end there.
func TestMoreIsTold(t *testing.T) {
	f := start(t, Config{})
	client := f.dial(f.password("viewer", "look"))
	for spent := (audit.Record{User: "viewer", Event: audit.EventInvalid, Line: strings.Repeat("x", 20<<10)}); f.srv.gate.shares.take(spent, "", time.Now()); {
	}
	f.srv.gate.shares.due(time.Now(), true)
	word := strings.Repeat("x", 7000)
	f.session(client, "", "foo "+word+"\n"+strings.Repeat("foo\n", 99), nil)
	f.srv.gate.tellMore(true) // as at the end of Serve
	starts, ends, more := f.audit.events(audit.EventStart), f.audit.events(audit.EventEnd), f.audit.events(audit.EventMore)
	if len(starts) != len(ends) || len(more) != 1 || len(starts)+more[0].Count != 100 || len(starts) == 0 {
		t.Fatalf("%d starts, %d ends, more %+v", len(starts), len(ends), more)
	}
	if got := starts[0].Argv[1]; !strings.HasPrefix(got, word[:256]+"… (7000 bytes, sha256 ") {
		t.Errorf("%.300q", got)
	}
}
