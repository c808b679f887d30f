package builtin

import (
	"strings"
	"testing"

	"github.com/norestart/norestart/commands"
)

func TestAuditLog(t *testing.T) {
	for line, want := range map[string][]string{
		"audit":                            {"login  viola  ssh  192.0.2.1:5  publickey", "start  viola  ssh  scale web 2", "end  viola  ssh  scale web 2  status 0", `denied  vera  tls  stop \u202e  status 77`, "more  vera  ssh  4985 records were left out  within 1m0s: foo 4985"},
		"audit --lines 1":                  {"more  vera  ssh  4985 records were left out  within 1m0s: foo 4985"},
		"audit --user viola --since 3h30m": {"end  viola  ssh  scale web 2  status 0"},
		"audit --event denied":             {`denied  vera  tls  stop \u202e  status 77`},
		"audit --user nobody":              {},
	} {
		got := newSession(t, hello()).do(t.Context(), line)
		lines := strings.Split(strings.TrimSuffix(got.Out, "\n"), "\n")
		if got.Out == "" {
			lines = nil
		}
		if got.Status != 0 || len(lines) != len(want) {
			t.Errorf("%s: %+v, want %q", line, got, want)
			continue
		}
		for i := range lines {
			if !strings.HasSuffix(lines[i], want[i]) {
				t.Errorf("%s: %q, want %q", line, lines[i], want[i])
			}
		}
	}
	s := newSession(t, hello())
	if got := s.do(t.Context(), "audit --event denied --json"); !strings.Contains(got.Out, `"argv":["stop","\u202e"]`) {
		t.Errorf("in JSON: %+v", got)
	}
	s.in.Audit = nil
	if got := s.do(t.Context(), "audit"); got.Status != commands.StatusDenied || !strings.Contains(got.Err, "norestart ctl audit") {
		t.Errorf("where it may not be read: %+v", got)
	}
	s.in.Role = commands.Operator
	if got := s.do(t.Context(), "audit"); got.Status != commands.StatusDenied {
		t.Errorf("to an operator: %+v", got)
	}
	if got := newSession(t, hello()).do(t.Context(), "audit --lines 0"); got.Status != commands.StatusUsage {
		t.Errorf("no lines: %+v", got)
	}
}
