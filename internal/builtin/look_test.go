package builtin

import (
	"encoding/json"
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
	f.replies = []control.CallReply{{Worker: "web/0", Generation: 2, Data: []byte("12\n")}, {Worker: "web/1", Generation: 2, Data: []byte("a\nb\x1b")}}
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
			`{"name":"web","built_in":false,"listen":["tcp://127.0.0.1:8080"],"share":"","target":4,"configured":3,"ready":3,"dead":1,"stopped":0,"done":0,"silent":0,"generation":2,"last_failure":"web/1: exit \u001b[31m0"},` +
			`{"name":"shell","built_in":true,"listen":[],"share":"","target":1,"configured":1,"ready":1,"dead":0,"stopped":0,"done":0,"silent":0,"generation":1}],"jobs":[],"well":false,"trouble":["web has 1 dead worker (worker revive)"]}`,
		"whoami":  `{"version":1,"user":"viola","role":"admin"}`,
		"version": `{"version":1,"norestart":"1.2.3"}`,
		"job list": `{"version":1,"jobs":[{"id":"30","kind":"reload","what":"web","pools":[],"owner":"viola","since":"2026-11-21T12:00:00Z",` +
			`"ended":"2026-11-21T12:01:05Z","state":"ok","done":4,"total":4}]}`,
		"log --lines 2": `{"epoch":0,"seq":0,"time":"2026-11-21T12:00:00Z","worker":"web/0","incarnation":7,"text":"GET /\u001b[2J"}` + "\n" +
			`{"epoch":0,"seq":0,"time":"2026-11-21T12:00:00Z","worker":"web/1","incarnation":8,"text":"x","skipped":1}`,
		"events": `{"epoch":0,"seq":0,"time":"2026-11-21T12:00:00Z","kind":"worker.dead","worker":"web/1","text":"worker web/1 is dead"}` + "\n" +
			`{"epoch":0,"seq":0,"time":"2026-11-21T12:00:00Z","kind":"job.started","job":"31","user":"viola","text":"reload web","skipped":3}`,
		"call web count":              `{"version":1,"replies":[{"worker":"web/0","generation":2,"data":"12\n"},{"worker":"web/1","generation":2,"data":"a\nb\u001b"}]}`,
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
		"status":      `{"version":1,"name":"","admin":"","primary":null,"pools":[],"jobs":[],"well":false,"trouble":["no primary"]}`,
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
			"2 sources may not connect to the admin port. next: session blocked")
		if got := newSession(t, f).do(t.Context(), "status"); got.Out != want {
			t.Error(cmp.Diff(want, got.Out))
		}
	})
}

func crashed(times int) *control.Crashes {
	now := time.Now()
	return &control.Crashes{Count: times, Since: now.Add(-130 * time.Second), Last: now.Add(-5 * time.Second), Worker: "web/1", Cause: "panic: \x1b[2Joh"}
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
			change(func(p *control.PoolStatus) { p.Ready, p.Done = 3, 1 }),
		}}, []control.WorkerInfo{{Pool: "web", State: control.Done}}, "well, 3 of 3 workers ready, 1 done"},
		"all wait for their time": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Ready, p.Done = 0, 4 }),
		}}, nil, "well, 4 of 4 workers done"},
		"reload themselves": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Reloading, p.Overdue = 2, 1 }),
		}}, nil, "NOT WELL: web has 1 worker that began to reload and did not say in time that it is done (worker list)"},
		"two troubles": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Ready, p.Dead = 2, 2 }),
			{Name: "shell", BuiltIn: true, Target: 1, LastFailure: "port in use"},
		}}, nil, "NOT WELL: web has 2 dead workers (worker revive); shell has 0 of 1 workers ready"},
		"crashed once": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Crashes = crashed(1) }),
		}}, nil, "well, 4 of 4 workers ready"},
		"crashes": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Crashes = crashed(12) }),
		}}, nil, "NOT WELL: web crashed 12 times in 2m 10s, last 5s ago: panic: \\x1b[2Joh"},
		"switched off": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Ready, p.Target = 0, 0 }),
		}}, nil, "NOT WELL: web is off: scaled to 0, configured 4 (scale web 4)"},
		"all stopped": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Ready, p.Stopped = 0, 4 }),
		}}, nil, "NOT WELL: web is off: all its workers were stopped by an operator (worker revive ID)"},
		"never meant to run": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Ready, p.Target, p.Configured = 0, 0, 0 }),
		}}, nil, "well, 0 of 0 workers ready"},
		"silent": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Silent = 1 }),
		}}, nil, "NOT WELL: web has 1 silent worker (worker list)"},
		"dead and silent": {control.Status{Primary: primary, Pools: []control.PoolStatus{
			change(func(p *control.PoolStatus) { p.Ready, p.Dead, p.Silent = 3, 1, 2 }),
		}}, nil, "NOT WELL: web has 1 dead worker (worker revive); web has 2 silent workers (worker list)"},
	} {
		test.status.Name = "hello"
		if summary := Greeting(test.status, time.Now()); test.status.Primary != nil && strings.HasPrefix(summary, "well") != strings.HasPrefix(test.want, "well") {
			t.Errorf("%s: the greeting says %q", name, summary)
		}
		out := newSession(t, &fake{status: test.status, workers: test.workers}).do(t.Context(), "status").Out
		if first, _, _ := strings.Cut(out, "\n"); first != "hello: "+test.want {
			t.Errorf("%s: %q, want %q", name, first, test.want)
		}
	}
}

// Everything takes --json, and says so in JSON.
func TestJSONEverywhere(t *testing.T) {
	arguments := map[string]string{
		"worker restart": "web/0", "worker stop": "web/0 --yes", "worker signal": "web/0 HUP", "worker attach": "web/0 --read-only", "scale": "3", "stop": "--yes",
		"job follow": "31", "job cancel": "31", "call": "web h", "send": "web/0 hi", "session end": "0b", "session unblock": "192.0.2.66",
	}
	for _, c := range Commands("1") {
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
