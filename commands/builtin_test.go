package commands

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

// local is a time of the fake cluster as text shows it.
func local(t time.Time) string { return t.Local().Format(stamp) }

func TestLookInText(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for line, want := range map[string]string{
		"worker info": "  Current Workers: 3\n   Target Workers: 4\n     Dead Workers: 1\n",
		"worker info web/0": lines(
			"id: web/0", "pid: 4711", "state: ready", "generation: 2", "up: 1d 3h", "restarts: 1",
			"cpu: 1.50s", "rss: 84M", "connections: 12", "requests: 99", "hijacked: 0", "exits: 1",
			"  "+local(noon)+" pid 4710 generation 1 after 1m 30s: SIGKILL (out of memory)",
			"last lines: 1", `  a\x1b[2Jb`),
		"worker list": lines(
			"ID       PID   STATE  GENERATION  UP     RESTARTS  CPU   RSS  CONNECTIONS  LAST EXIT",
			"web/0    4711  ready  2           1d 3h  1         1.5s  84M  12           SIGKILL (out of memory)",
			"web/1    -     dead   2           0s     0         0s    0    0            -",
			"shell/0  4720  ready  1           0s     0         0s    0    0            -"),
		"whoami":  "viola, role admin\n",
		"version": "norestart 1.2.3\n",
		"job list": lines(
			"ID  KIND    WHAT  OWNER  STATE  DONE  BEGAN                TOOK",
			"30  reload  web   viola  ok     4/4   "+local(noon)+"  1m 5s"),
		"log":       lines(local(noon)+` web/0 GET /\x1b[2J`, "[1 line skipped]", local(noon)+" web/1 x"),
		"log --raw": "GET /\x1b[2J\n[1 line skipped]\nx\n",
		"events":    lines(local(noon)+" worker.dead worker web/1 is dead", "[3 lines skipped]", local(noon)+" job.started reload web (by viola)"),
	} {
		if got := newSession(t, eventful(noon)).do(t.Context(), line); got.Status != 0 || got.Err != "" || got.Out != want {
			t.Errorf("%s: status %d, %s\n%s", line, got.Status, got.Err, cmp.Diff(want, got.Out))
		}
	}
}

func eventful(noon time.Time) *fake {
	f := hello()
	f.jobs = []control.Job{{
		ID: "30", Kind: "reload", What: "web", Owner: "viola", Since: noon, Ended: noon.Add(65 * time.Second),
		State: control.JobOK, Done: 4, Total: 4,
	}}
	f.log = []control.LogLine{
		{Time: noon, Worker: "web/0", Incarnation: 7, Text: "GET /\x1b[2J"},
		{Time: noon, Worker: "web/1", Incarnation: 8, Text: "x", Skipped: 1},
	}
	f.happen = []control.Event{
		{Time: noon, Kind: "worker.dead", Worker: "web/1", Text: "worker web/1 is dead"},
		{Time: noon, Kind: "job.started", Job: "31", User: "viola", Text: "reload web", Skipped: 3},
	}
	f.replies = []control.CallReply{{Worker: "web/0", Data: []byte("12\n")}, {Worker: "web/1", Data: []byte("a\nb\x1b")}}
	return f
}

func TestLookInJSON(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	exit := `{"time":"2026-11-21T12:00:00Z","pid":4710,"generation":1,"incarnation":3,"code":-1,"signal":"SIGKILL","oom":true,"lines":["bye"],"uptime":90}`
	web0 := `"id":"web/0","pid":4711,"pool":"web","built_in":false,"state":"ready","generation":2,"incarnation":7,"restarts":1,` +
		`"rss":88080384,"connections":12,"requests":99,"hijacked":0,"successor":null,"silent":false,"up":99000,"cpu":1.5,"last_exit":` + exit + `,"outgoing":[]`
	idle := `"restarts":0,"rss":0,"connections":0,"requests":0,"hijacked":0,"successor":null,"silent":false,"up":0,"cpu":0,"last_exit":null,"outgoing":[]`
	for line, want := range map[string]string{
		"worker info":       `{"version":1,"current":3,"target":4,"dead":1}`,
		"worker info web/0": `{"version":1,"worker":{` + web0 + `,"exits":[` + exit + `],"lines":["a\u001b[2Jb"]}}`,
		"worker list": `{"version":1,"workers":[{` + web0 + `},` +
			`{"id":"web/1","pid":0,"pool":"web","built_in":false,"state":"dead","generation":2,"incarnation":0,` + idle + `},` +
			`{"id":"shell/0","pid":4720,"pool":"shell","built_in":true,"state":"ready","generation":1,"incarnation":0,` + idle + `}]}`,
		"status": `{"version":1,"name":"hello","admin":"127.0.0.1:7777","primary":{"pid":4700,"since":"2026-11-21T12:00:00Z"},"pools":[` +
			`{"name":"web","built_in":false,"listen":["tcp://127.0.0.1:8080"],"share":"","target":4,"configured":3,"ready":3,"dead":1,"stopped":0,"silent":0,"generation":2,"last_failure":"web/1: exit \u001b[31m0"},` +
			`{"name":"shell","built_in":true,"listen":[],"share":"","target":1,"configured":1,"ready":1,"dead":0,"stopped":0,"silent":0,"generation":1}],"jobs":[]}`,
		"whoami":  `{"version":1,"user":"viola","role":"admin"}`,
		"version": `{"version":1,"norestart":"1.2.3"}`,
		"job list": `{"version":1,"jobs":[{"id":"30","kind":"reload","what":"web","pools":[],"owner":"viola","since":"2026-11-21T12:00:00Z",` +
			`"ended":"2026-11-21T12:01:05Z","state":"ok","done":4,"total":4}]}`,
		"log --lines 2": `{"epoch":0,"seq":0,"time":"2026-11-21T12:00:00Z","worker":"web/0","incarnation":7,"text":"GET /\u001b[2J"}` + "\n" +
			`{"epoch":0,"seq":0,"time":"2026-11-21T12:00:00Z","worker":"web/1","incarnation":8,"text":"x","skipped":1}`,
		"events": `{"epoch":0,"seq":0,"time":"2026-11-21T12:00:00Z","kind":"worker.dead","worker":"web/1","text":"worker web/1 is dead"}` + "\n" +
			`{"epoch":0,"seq":0,"time":"2026-11-21T12:00:00Z","kind":"job.started","job":"31","user":"viola","text":"reload web","skipped":3}`,
		"call web count":              `{"version":1,"replies":[{"worker":"web/0","data":"12\n"},{"worker":"web/1","data":"a\nb\u001b"}]}`,
		"worker signal web/0 sigusr1": `{"version":1,"pid":4711,"signal":"SIGUSR1","worker":"web/0"}`,
		"reload --detach":             `{"version":1,"job":"31"}`,
		"reload": `{"event":"replaced","worker":"web/0","generation":2,"ok":true}` + "\n" +
			`{"event":"done","job":"31","ok":true}`,
	} {
		got := newSession(t, eventful(noon)).do(t.Context(), line+" --json")
		if got.Status != 0 || got.Err != "" || got.Out != want+"\n" {
			t.Errorf("%s: status %d, %s\n%s", line, got.Status, got.Err, cmp.Diff(want+"\n", got.Out))
		}
	}
}

// A list is JSON with [] in it, never null, when there is nothing to list.
func TestNothingToList(t *testing.T) {
	for line, want := range map[string]string{
		"status":      `{"version":1,"name":"","admin":"","primary":null,"pools":[],"jobs":[]}`,
		"worker list": `{"version":1,"workers":[]}`,
		"job list":    `{"version":1,"jobs":[]}`,
		"worker info": `{"version":1,"current":0,"target":0,"dead":0}`,
	} {
		if got := newSession(t, &fake{}).do(t.Context(), line+" --json"); got != (result{0, want + "\n", ""}) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestStatusPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := hello()
		f.status.Primary.Since = time.Now().Add(-12*24*time.Hour - 3*time.Hour)
		f.status.Jobs = []control.Job{{
			ID: "31", Kind: "reload", What: "web", Owner: "viola", State: control.JobRunning,
			Done: 1, Total: 4, Since: time.Now().Add(-12 * time.Second),
		}}
		want := lines(
			"hello: NOT WELL: web has 1 dead worker (worker revive)",
			"primary 4700, up 12d 3h",
			"admin port 127.0.0.1:7777",
			"POOL   TARGET            READY  DEAD  STOPPED  GENERATION  LISTEN",
			"web    4 (configured 3)  3      1     0        2           tcp://127.0.0.1:8080",
			"shell  1                 1      0     0        1           -",
			"job 31: reload web by viola, running, 1 of 4, 12s ago",
			`web: web/1: exit \x1b[31m0`,
			"web/1 is dead. next: log --worker web/1, then worker revive web/1",
			`  a\x1b[2Jb`,
			"2 sources may not connect to the admin port. next: session blocked")
		if got := newSession(t, f).do(t.Context(), "status"); got.Out != want {
			t.Error(cmp.Diff(want, got.Out))
		}
	})
}

func TestIsItWell(t *testing.T) {
	pool := control.PoolStatus{Name: "web", Target: 4, Configured: 4, Ready: 4}
	change := func(by func(*control.PoolStatus)) control.PoolStatus { p := pool; by(&p); return p }
	primary := &control.Primary{PID: 1}
	for name, test := range map[string]struct {
		status  control.Status
		workers []control.WorkerInfo
		want    string
	}{
		"well":       {control.Status{Primary: primary, Pools: []control.PoolStatus{pool}}, nil, "well, 4 of 4 workers ready"},
		"no primary": {control.Status{Pools: []control.PoolStatus{pool}}, nil, "NOT WELL: no primary"},
		"stopped by wish": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Ready, p.Stopped = 3, 1 }),
		}}, nil, "well, 3 of 4 workers ready, 1 stopped"},
		"starting": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Ready = 1 }),
		}}, []control.WorkerInfo{{Pool: "web", State: control.Starting}}, "NOT WELL: web has 1 of 4 workers ready"},
		"work is done": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Ready = 3 }),
		}}, []control.WorkerInfo{{Pool: "web", State: control.Done}}, "well, 3 of 4 workers ready"},
		"two troubles": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Ready, p.Dead = 2, 2 }),
			{Name: "shell", BuiltIn: true, Target: 1, LastFailure: "port in use"},
		}}, nil, "NOT WELL: web has 2 dead workers (worker revive); shell has 0 of 1 workers ready"},
		"silent": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Silent = 1 }),
		}}, nil, "NOT WELL: web has 1 silent worker (worker list)"},
		"dead and silent": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Ready, p.Dead, p.Silent = 3, 1, 2 }),
		}}, nil, "NOT WELL: web has 1 dead worker (worker revive); web has 2 silent workers (worker list)"},
	} {
		test.status.Name = "hello"
		out := newSession(t, &fake{status: test.status, workers: test.workers}).do(t.Context(), "status").Out
		if first, _, _ := strings.Cut(out, "\n"); first != "hello: "+test.want {
			t.Errorf("%s: %q, want %q", name, first, test.want)
		}
	}
}

// What each line asks of the cluster, and nothing besides.
func TestRequests(t *testing.T) {
	for line, want := range map[string][]string{
		"worker info":                    {"status"},
		"worker info web/0":              {"worker web/0"},
		"worker revive":                  {`revive []`, "follow 31"},
		"worker revive web/0 web/1":      {`revive ["web/0" "web/1"]`, "follow 31"},
		"worker restart web/1":           {"restart worker web/1", "follow 31"},
		"worker stop web/1 --detach":     {"stop worker web/1"},
		"worker signal web/0 hup":        {"worker web/0", "signal web/0 HUP incarnation 7"},
		"scale web 8":                    {"scale web to 8 seen -", "follow 31"},
		"scale 8":                        {"status", "scale web to 8 seen -", "follow 31"},
		"scale web auto":                 {"scale web to -1 seen -", "follow 31"},
		"scale +2":                       {"status", "scale web to 6 seen 4", "follow 31"},
		"scale web -1":                   {"status", "scale web to 3 seen 4", "follow 31"},
		"scale -4 --detach":              {"status", "scale web to 0 seen 4"},
		"scale shell +1":                 {"status", "scale shell to 2 seen 1", "follow 31"},
		"scale web 0":                    {"scale web to 0 seen -", "follow 31"},
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
		"reload --max-surge -1":          nil,
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
	} {
		s := newSession(t, hello())
		got := s.do(t.Context(), line)
		if diff := cmp.Diff(want, s.control.asked()); diff != "" {
			t.Errorf("%s:\n%s", line, diff)
		}
		if want == nil && got.Status != StatusUsage {
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

func TestStopAsks(t *testing.T) {
	question := "This stops hello: 3 workers and the primary. Type the cluster's name to go on: \n"
	steps := "worker web/0 replaced (1/4)\n"
	for name, test := range map[string]struct {
		line   string
		mode   Mode
		answer []string
		status int
		err    string
		out    string // empty: it does not stop
	}{
		"exec":      {"stop", Exec, []string{"hello"}, 2, "error: stop needs --yes when it cannot ask\nhint: stop --yes\n", ""},
		"script":    {"stop", Script, []string{"hello"}, 2, "error: stop needs --yes when it cannot ask\nhint: stop --yes\n", ""},
		"exec yes":  {"stop --yes", Exec, nil, 0, "", steps},
		"yes":       {"stop", Interactive, []string{"hello"}, 0, question, steps + "hello has stopped\n"},
		"unasked":   {"stop --yes", Interactive, nil, 0, "", steps + "hello has stopped\n"},
		"detached":  {"stop --yes --detach", Interactive, nil, 0, "", "31\n"},
		"json":      {"stop --yes --json", Interactive, nil, 0, "", `{"event":"replaced","worker":"web/0","generation":2,"ok":true}` + "\n" + `{"event":"done","job":"31","ok":true}` + "\n"},
		"no":        {"stop", Interactive, []string{"n"}, 1, question + "error: \"n\" is not the cluster's name: nothing was done\n", ""},
		"only ente": {"stop", Interactive, []string{""}, 1, question + "error: \"\" is not the cluster's name: nothing was done\n", ""},
		"ctrl-d":    {"stop", Interactive, nil, 1, question + "error: end of input\n", ""},
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
	f.replies = []control.CallReply{{Worker: "web/0", Data: []byte("12\n3")}, {Worker: "web/1", Error: "timed out"}, {Worker: "web/2", Data: []byte("\xff")}}
	want := result{1, "web/0: 12\nweb/0: 3\nweb/2: \\xff\n", "error: 1 of 3 workers failed\n  web/1: timed out\n"}
	if diff := cmp.Diff(want, newSession(t, f).do(t.Context(), "call web count")); diff != "" {
		t.Error(diff)
	}
	want = result{1, "", `{"version":1,"error":{"code":"partial","message":"1 of 3 workers failed","hint":"","lines":["web/1: timed out"],"details":` +
		`{"replies":[{"worker":"web/0","data":"12\n3"},{"worker":"web/1","data":"","error":"timed out"},{"worker":"web/2","data":"","data_base64":"/w=="}]}}}` + "\n"}
	if diff := cmp.Diff(want, newSession(t, f).do(t.Context(), "call web count --json")); diff != "" {
		t.Error(diff)
	}
	want = result{1, "", "error: no worker of web is ready\nhint: worker list\n"}
	if diff := cmp.Diff(want, newSession(t, &fake{}).do(t.Context(), "call web count")); diff != "" {
		t.Error(diff)
	}
}

func TestHelp(t *testing.T) {
	s := newSession(t, hello(), Command{Name: "flush", Role: Viewer, Run: nothing, Summary: "empty the cache"})
	want := result{0, lines(
		"reload [POOL…] [--timeout TIME] [--max-surge N] [--keep] [--detach]",
		"  new generation of the application's pools, no request lost (role operator)",
		"  --timeout TIME  time for each worker to become ready",
		"  --max-surge N   workers to replace at once; 0: each ends before its successor starts",
		"  --keep          leave what was replaced when a later worker fails",
		"  --detach        print the id of the job and do not wait",
		"  Each worker is replaced when its successor is ready. If the first one fails, nothing",
		"  has changed; if a later one fails, those that were replaced are rolled back."), ""}
	for _, line := range []string{"help reload", "? reload", "reload --help", "reload web --help"} {
		if diff := cmp.Diff(want, s.do(t.Context(), line)); diff != "" {
			t.Errorf("%s:\n%s", line, diff)
		}
	}
	all := s.do(t.Context(), "help")
	for _, part := range []string{"\nApplication\n  flush ", "What starts what again\n  reload ", "  worker info [ID] "} {
		if !strings.Contains(all.Out, part) {
			t.Errorf("help has no %q:\n%s", part, all.Out)
		}
	}
	if got := s.do(t.Context(), "worker ?"); got != s.do(t.Context(), "help worker") || !strings.Contains(got.Out, "\nworker list ") {
		t.Errorf("worker ?: %+v", got)
	}
	if got := s.do(t.Context(), "worker --help"); got != s.do(t.Context(), "help worker") {
		t.Errorf("worker --help: %+v", got)
	}
	if got := s.do(t.Context(), "help relaod"); got != (result{127, "", "error: unknown command \"relaod\". Did you mean: reload\n"}) {
		t.Errorf("%+v", got)
	}
	s.in.Role = Viewer
	if got := s.do(t.Context(), "help stop"); got.Status != StatusDenied {
		t.Errorf("%+v", got)
	}
	if got := s.do(t.Context(), "help"); strings.Contains(got.Out, "What starts what again") {
		t.Errorf("a viewer needs no such table:\n%s", got.Out)
	}
}

// Everything takes --json, and says so in JSON.
func TestJSONEverywhere(t *testing.T) {
	arguments := map[string]string{
		"worker restart": "web/0", "worker stop": "web/0", "worker signal": "web/0 HUP", "scale": "3", "stop": "--yes",
		"job follow": "31", "job cancel": "31", "call": "web h", "session end": "0b", "session unblock": "192.0.2.66",
	}
	for _, c := range Builtin("1") {
		f := eventful(time.Now())
		if c.Name == "job cancel" {
			f.end.State = control.JobCancelled
		}
		got := newSession(t, f).do(t.Context(), c.Name+" "+arguments[c.Name]+" --json")
		if got.Status != 0 || got.Err != "" || got.Out == "" {
			t.Errorf("%s: %+v", c.Name, got)
		}
		for line := range strings.Lines(got.Out) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s: not JSON: %s", c.Name, line)
			}
		}
		f.err = control.ErrInternal
		got = newSession(t, f).do(t.Context(), c.Name+" "+arguments[c.Name]+" --json")
		if got.Status != 0 && got.Out != "" {
			t.Errorf("%s failed and left half of an answer: %+v", c.Name, got)
		}
	}
}

func TestWidth(t *testing.T) {
	s := newSession(t, hello())
	s.in.Screen.Width = 20
	wide := s.do(t.Context(), "worker list")
	s.in.Mode = Interactive
	for line := range strings.Lines(s.do(t.Context(), "worker list").Out) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 20 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if !strings.Contains(wide.Out, "LAST EXIT") {
		t.Errorf("exec depends on the width:\n%s", wide.Out)
	}
}

func TestFormat(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 59999 * time.Millisecond: "59s", time.Minute: "1m 0s", 3*time.Hour + 59*time.Second: "3h 0m",
		24 * time.Hour: "1d 0h", 400*24*time.Hour + 5*time.Hour: "400d 5h",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%s) = %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 9999: "9999", 10000: "10K", 84 << 20: "84M", 20 << 30: "20G", 1 << 50: "1048576G"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
}

func BenchmarkWorkerInfo(b *testing.B) {
	s := newSession(b, hello())
	b.ReportAllocs()
	for b.Loop() {
		s.out.Reset()
		s.control.calls = s.control.calls[:0]
		if s.run(b.Context(), "worker info") != 0 {
			b.Fatal(s.err.String())
		}
	}
}
