package builtin

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/sessions"
)

// Sessions and blocks of all processes of the admin port are one list; text of
// others is quoted.
func TestVisitors(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for line, want := range map[string]result{
		"session list": {0, lines(
			"ID  USER      ROLE   VIA  FROM          SINCE                PID   COMMAND",
			`0b  x\x1b[2J  none   tls  192.0.2.8:98  `+local(noon)+"  4719  -",
			"0a  viola     admin  ssh  192.0.2.7:99  "+local(noon.Add(time.Second))+"  4720  log --follow"), ""},
		"session end 0b": {0, "session 0b ended\n", ""},
		"session blocked": {0, lines(
			"SOURCE         UNTIL                WHY",
			"2001:db8::/64  "+local(noon.Add(time.Minute))+"  1 failed login",
			"192.0.2.66     "+local(noon)+"  14 failed logins (admin, root)"), ""},
		"session unblock 192.0.2.66": {0, "192.0.2.66 may connect again\n", ""},
		"session unblock x":          {2, "", "error: \"x\" is not an address as session blocked shows it\nhint: help session unblock\n"},
	} {
		if d := cmp.Diff(want, newSession(t, hello()).do(t.Context(), line)); d != "" {
			t.Errorf("%s (-want +got):\n%s", line, d)
		}
	}
}

func TestVisitorsThatAreNotThere(t *testing.T) {
	f := hello()
	f.shells = map[string][]control.CallReply{}
	for _, h := range []string{sessions.HandlerEnd, sessions.HandlerUnblock} {
		f.shells[h] = []control.CallReply{{Worker: "shell/0", Data: []byte("0")}}
	}
	f.shells[sessions.HandlerBlocked] = []control.CallReply{{Worker: "shell/0", Data: []byte("[]")}}
	for line, want := range map[string]result{
		"session end 0c 0d":          {1, "", "error: no session 0c, 0d\nhint: session list\n"},
		"session blocked":            {0, "no source is blocked\n", ""},
		"session unblock 192.0.2.66": {0, "192.0.2.66 was not blocked\n", ""},
	} {
		if d := cmp.Diff(want, newSession(t, f).do(t.Context(), line)); d != "" {
			t.Errorf("%s (-want +got):\n%s", line, d)
		}
	}
	f.admin = ""
	if got := newSession(t, f).do(t.Context(), "session list"); got.Status != 1 || !strings.Contains(got.Err, "no admin port") {
		t.Errorf("a cluster without a port: %+v", got)
	}
}

// A process that does not answer may hold the session that is looked for: a
// list that may not be whole is an error. What was found elsewhere is done.
func TestVisitorsOfASilentProcess(t *testing.T) {
	f := hello()
	for h := range f.shells {
		f.shells[h] = append(f.shells[h], control.CallReply{Worker: "shell/0 (pid 4718)", Error: "no answer within 5s"})
	}
	want := result{1, "", "error: 1 shell worker did not answer\n  shell/0 (pid 4718): no answer within 5s\n"}
	for _, line := range []string{"session list", "session blocked", "session unblock 192.0.2.66"} {
		if d := cmp.Diff(want, newSession(t, f).do(t.Context(), line)); d != "" {
			t.Errorf("%s (-want +got):\n%s", line, d)
		}
	}
	if got := newSession(t, f).do(t.Context(), "session end 0b"); got.Status != 0 {
		t.Errorf("session end: %+v", got)
	}
}

// D5: an operator asks the shell worker itself to end a session of an admin, by
// call, which needs no admin.
func TestD5_call_of_the_shell(t *testing.T) {
	f := hello()
	s := newSession(t, f)
	s.in.Role = commands.Operator
	got := s.do(t.Context(), "call shell session.end 0a viola")
	if d := cmp.Diff(result{77, "", "error: denied: shell is built in: call asks only the application's pools\n"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"status"}, f.asked()); d != "" {
		t.Errorf("asked (-want +got):\n%s", d)
	}
}
