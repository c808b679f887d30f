package builtin

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

// requests are what lines ask of the cluster; nil: a usage error, and nothing is
// asked.
var requests = map[string][]string{
	"worker info":                    {"status"},
	"worker info web/0":              {"worker web/0"},
	"worker revive":                  {`revive []`, "follow 31"},
	"worker revive web/0 web/1":      {`revive ["web/0" "web/1"]`, "follow 31"},
	"worker restart web/1":           {"restart worker web/1", "follow 31"},
	"worker stop web/1 --detach":     {"workers", "stop worker web/1"},
	"worker stop web/0 --yes":        {"stop worker web/0", "follow 31"},
	"worker signal web/0 hup":        {"worker web/0", "signal web/0 HUP incarnation 7"},
	"scale web 8":                    {"scale web to 8 seen -", "follow 31"},
	"scale 8":                        {"status", "scale web to 8 seen -", "follow 31"},
	"scale web auto":                 {"scale web to -1 seen -", "follow 31"},
	"scale +2":                       {"status", "scale web to 6 seen 4", "follow 31"},
	"scale web -1":                   {"status", "scale web to 3 seen 4", "follow 31"},
	"scale -4 --detach --yes":        {"status", "scale web to 0 seen 4"},
	"scale shell +1":                 {"status", "scale shell to 2 seen 1", "follow 31"},
	"scale web 0 --yes":              {"status", "scale web to 0 seen -", "follow 31"},
	"scale web -9":                   {"status"},
	"scale other +1":                 {"status"},
	"scale web auto --detach":        {"scale web to -1 seen -"},
	"scale web many":                 nil,
	"scale web -":                    nil,
	"scale web 99999999999":          nil,
	"scale web 1 2":                  nil,
	"scale":                          nil,
	"reload":                         {`reload [] timeout 0s surge 0 keep false`, "follow 31"},
	"reload a b --keep --timeout 3s": {`reload ["a" "b"] timeout 3s surge 0 keep true`, "follow 31"},
	"reload --max-surge=2 --detach":  {`reload [] timeout 0s surge 2 keep false`},
	"reload web --dry-run":           {`changes ["web"]`},
	"reload --max-surge -1":          nil,
	"config diff":                    {"config changes"},
	"config reload --dry-run":        {"config changes"},
	"config reload":                  {"config reload", "follow 31"},
	"config reload --detach":         {"config reload"},
	"config reload web":              nil,
	"restart":                        {"restart", "follow 31"},
	"restart --primary":              {"restart of the primary", "follow 31"},
	"restart web":                    nil,
	"rollback":                       {`rollback "" to 0`, "follow 31"},
	"rollback web":                   {`rollback "web" to 0`, "follow 31"},
	"rollback web 3":                 {`rollback "web" to 3`, "follow 31"},
	"rollback 3 --detach":            {`rollback "" to 3`},
	"rollback 3 web":                 nil,
	"rollback web x":                 nil,
	"generation list":                {"generations"},
	"stop":                           nil,
	"stop --yes":                     {"stop", "follow 31"},
	"job follow 30":                  {"follow 30"},
	"job cancel 30":                  {"cancel 30", "follow 30"},
	"log":                            {`log "" lines 100 follow false`},
	"log --worker web/0 --lines 0":   {`log "web/0" lines -1 follow false`},
	"log --lines -1":                 nil,
	"log --lines 10001":              nil,
	"events --lines=5":               {"events lines 5 follow false"},
	"call web h a -9 --timeout 2s":   {"status", `call web h ["a" "-9"] timeout 2s`},
	"call web h -- --json":           {"status", `call web h ["--json"] timeout 5s`},
	"call web":                       nil,
	"session list":                   {"spec", `call shell session.list [] timeout 0s`},
	"session list x":                 nil,
	"session end 0b":                 {"spec", `call shell session.end ["0b" "viola"] timeout 0s`},
	"session end":                    nil,
	"session blocked":                {"spec", `call shell session.blocked [] timeout 0s`},
	"session unblock 192.0.2.66":     {"spec", `call shell session.unblock ["192.0.2.66"] timeout 0s`},
	"session unblock 2001:db8::/64":  {"spec", `call shell session.unblock ["2001:db8::/64"] timeout 0s`},
	"session unblock all":            nil,
}

// What each line asks of the cluster, and nothing besides.
func TestRequests(t *testing.T) {
	for line, want := range requests {
		s := newSession(t, hello())
		got := s.do(t.Context(), line)
		if diff := cmp.Diff(want, s.control.asked()); diff != "" {
			t.Errorf("%s:\n%s", line, diff)
		}
		if want == nil && got.Status != commands.StatusUsage {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestScaleTells(t *testing.T) {
	two := hello()
	idle, whole := hello(), hello()
	idle.total, idle.events = 0, nil
	whole.total, whole.events = 0, nil
	whole.status.Pools[0].Dead = 0
	two.status.Pools = append(two.status.Pools, control.PoolStatus{Name: "jobs", Target: 1})
	for _, test := range []struct {
		f    *fake
		line string
		want result
	}{
		{hello(), "scale web -9", result{2, "", "error: scale web -9: 4 - 9 is below 0\nhint: help scale\n"}},
		{hello(), "scale -9", result{2, "", "error: scale web -9: 4 - 9 is below 0\nhint: help scale\n"}},
		{hello(), "scale web many", result{2, "", "error: scale web many: \"many\" is not a number of workers: N, +N, -N or auto\nhint: help scale\n"}},
		{hello(), "scale wbe +1", result{1, "", "error: no pool wbe\nhint: status\n"}},
		{two, "scale 8", result{2, "", "error: scale 8: which pool? web, jobs\nhint: help scale\n"}},
		{hello(), "scale web 5", result{0, "worker web/0 replaced (1/4)\n", ""}},
		{whole, "scale web 4", result{0, "web has 4 workers already\n", ""}},
		{whole, "scale auto", result{0, "web has 4 workers already\n", ""}},
		{whole, "scale web 4 --detach", result{0, "31\n", ""}},
		{whole, "scale web 4 --json", result{0, `{"event":"done","job":"31","ok":true}` + "\n", ""}},
		{idle, "scale web 4", result{0, "web has 4 workers already, 1 dead (worker revive)\n", ""}},
	} {
		if diff := cmp.Diff(test.want, newSession(t, test.f).do(t.Context(), test.line)); diff != "" {
			t.Errorf("%s:\n%s", test.line, diff)
		}
	}
}

// The last worker of a pool that runs goes only when that is meant.
func TestLastWorkerAsks(t *testing.T) {
	question := "This ends the last worker of web that runs. Type the cluster's name to go on: \n"
	for name, test := range map[string]struct {
		line    string
		mode    commands.Mode
		others  int // pid of web/1; 0: it does not run
		answer  string
		status  int
		err     string
		stopped bool
	}{
		"exec":        {"worker stop web/0", commands.Exec, 0, "", 2, "error: worker stop needs --yes when it cannot ask\nhint: worker stop web/0 --yes\n", false},
		"yes":         {"worker stop web/0", commands.Interactive, 0, "hello", 0, question, true},
		"no":          {"worker stop web/0", commands.Interactive, 0, "web", 1, question + "error: \"web\" is not the cluster's name: nothing was done\n", false},
		"unasked":     {"worker stop web/0 --yes", commands.Exec, 0, "", 0, "", true},
		"another":     {"worker stop web/0", commands.Exec, 4712, "", 0, "", true},
		"runs not":    {"worker stop web/1", commands.Exec, 0, "", 0, "", true},
		"the shell's": {"worker stop shell/0", commands.Exec, 0, "", 0, "", true}, // the primary refuses it
	} {
		s := newSession(t, hello())
		for i := range s.control.workers {
			if w := &s.control.workers[i]; w.Pool == "web" && w.ID != "web/0" {
				w.PID = 0
				if w.ID == "web/1" {
					w.PID = test.others
				}
			}
		}
		s.in.Mode = test.mode
		s.answers(test.answer)
		if got := s.do(t.Context(), test.line); got.Status != test.status || got.Err != test.err {
			t.Errorf("%s: %+v", name, got)
		}
		if got := slices.ContainsFunc(s.control.asked(), func(a string) bool { return strings.HasPrefix(a, "stop worker") }); got != test.stopped {
			t.Errorf("%s: stopped %v", name, got)
		}
	}
}

func TestScaleToNothingAsks(t *testing.T) {
	question := "This ends all workers of web. Type the cluster's name to go on: \n"
	off := hello()
	off.status.Pools[0].Target = 0
	for name, test := range map[string]struct {
		line   string
		mode   commands.Mode
		answer string
		status int
		err    string
		asked  string // of the cluster; empty: nothing was done
	}{
		"exec":     {"scale web 0", commands.Exec, "hello", 2, "error: scale needs --yes when it cannot ask\nhint: scale web 0 --yes\n", ""},
		"script":   {"scale -4", commands.Script, "hello", 2, "error: scale needs --yes when it cannot ask\nhint: scale -4 --yes\n", ""},
		"yes":      {"scale 0", commands.Interactive, "hello", 0, question, "scale web to 0 seen -"},
		"relative": {"scale -4", commands.Interactive, "hello", 0, question, "scale web to 0 seen 4"},
		"no":       {"scale web 0", commands.Interactive, "web", 1, question + "error: \"web\" is not the cluster's name: nothing was done\n", ""},
		"unasked":  {"scale web 0 --yes", commands.Exec, "", 0, "", "scale web to 0 seen -"},
		"not all":  {"scale -3", commands.Exec, "", 0, "", "scale web to 1 seen 4"},
	} {
		s := newSession(t, hello())
		s.in.Mode = test.mode
		s.answers(test.answer)
		if got := s.do(t.Context(), test.line); got.Status != test.status || got.Err != test.err {
			t.Errorf("%s: %+v", name, got)
		}
		if asked := s.control.asked(); slices.ContainsFunc(asked, func(a string) bool { return strings.HasPrefix(a, "scale") }) != (test.asked != "") || test.asked != "" && !slices.Contains(asked, test.asked) {
			t.Errorf("%s: asked %q", name, asked)
		}
	}
	if got := newSession(t, off).do(t.Context(), "scale web 0"); got.Status != 0 {
		t.Errorf("what is off already: %+v", got)
	}
}

func TestStopAsks(t *testing.T) {
	question := "This stops hello: 3 workers and the primary. Type the cluster's name to go on: \n"
	steps := "worker web/0 replaced (1/4)\n"
	for name, test := range map[string]struct {
		line   string
		mode   commands.Mode
		answer []string
		status int
		err    string
		out    string // empty: it does not stop
	}{
		"exec":      {"stop", commands.Exec, []string{"hello"}, 2, "error: stop needs --yes when it cannot ask\nhint: stop --yes\n", ""},
		"script":    {"stop", commands.Script, []string{"hello"}, 2, "error: stop needs --yes when it cannot ask\nhint: stop --yes\n", ""},
		"exec yes":  {"stop --yes", commands.Exec, nil, 0, "", steps},
		"yes":       {"stop", commands.Interactive, []string{"hello"}, 0, question, steps + "hello has stopped\n"},
		"unasked":   {"stop --yes", commands.Interactive, nil, 0, "", steps + "hello has stopped\n"},
		"detached":  {"stop --yes --detach", commands.Interactive, nil, 0, "", "31\n"},
		"json":      {"stop --yes --json", commands.Interactive, nil, 0, "", `{"event":"replaced","worker":"web/0","generation":2,"ok":true}` + "\n" + `{"event":"done","job":"31","ok":true}` + "\n"},
		"no":        {"stop", commands.Interactive, []string{"n"}, 1, question + "error: \"n\" is not the cluster's name: nothing was done\n", ""},
		"only ente": {"stop", commands.Interactive, []string{""}, 1, question + "error: \"\" is not the cluster's name: nothing was done\n", ""},
		"ctrl-d":    {"stop", commands.Interactive, nil, 1, question + "error: end of input\n", ""},
	} {
		s := newSession(t, hello())
		s.in.Mode = test.mode
		s.answers(test.answer...)
		if diff := cmp.Diff(result{test.status, test.out, test.err}, s.do(t.Context(), test.line)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		if stops := slices.Contains(s.control.asked(), "stop"); stops != (test.out != "") {
			t.Errorf("%s: stops %t", name, stops)
		}
	}
}

func TestCallInPart(t *testing.T) {
	f := hello()
	f.replies = []control.CallReply{
		{Worker: "web/0", Generation: 2, Data: []byte("12\n3")}, {Worker: "web/1", Generation: 1, Error: "timed out"}, {Worker: "web/2", Generation: 3, Data: []byte("\xff")},
	}
	want := result{1, "web/0: 12\nweb/0: 3\nweb/2 (generation 3): \\xff\n", "error: 1 of 3 workers failed\n  web/1 (generation 1): timed out\n"}
	if diff := cmp.Diff(want, newSession(t, f).do(t.Context(), "call web count")); diff != "" {
		t.Error(diff)
	}
	want = result{1, "", `{"version":1,"error":{"code":"partial","message":"1 of 3 workers failed","hint":"","lines":["web/1 (generation 1): timed out"],"details":` +
		`{"replies":[{"worker":"web/0","generation":2,"data":"12\n3"},{"worker":"web/1","generation":1,"data":"","error":"timed out"},{"worker":"web/2","generation":3,"data":"","data_base64":"/w=="}]}}}` + "\n"}
	if diff := cmp.Diff(want, newSession(t, f).do(t.Context(), "call web count --json")); diff != "" {
		t.Error(diff)
	}
	f.replies[1].Code = control.ErrTimeout.Code
	want = result{124, "web/0: 12\nweb/0: 3\nweb/2 (generation 3): \\xff\n", "error: 1 of 3 workers failed\n  web/1 (generation 1): timed out\n"}
	if diff := cmp.Diff(want, newSession(t, f).do(t.Context(), "call web count")); diff != "" {
		t.Error(diff)
	}
	want = result{1, "", "error: no worker of web is ready\nhint: worker list\n"}
	if diff := cmp.Diff(want, newSession(t, &fake{}).do(t.Context(), "call web count")); diff != "" {
		t.Error(diff)
	}
}
