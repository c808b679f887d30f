package agent

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/norestart/norestart/control"
)

func shop() *cluster {
	at := time.Unix(1_700_000_000, 0)
	return &cluster{
		status: control.Status{
			Name: "shop", Version: "0.1.0", Primary: &control.Primary{PID: 1, Since: at},
			Pools: []control.PoolStatus{{Name: "web", Target: 3, Configured: 2, Ready: 2, Generation: 7}, {Name: "shell", BuiltIn: true, Target: 1, Ready: 1}},
			Jobs:  []control.Job{{ID: "1"}},
		},
		spec: control.Spec{Admin: "shell", Pools: []control.PoolSpec{{Name: "web", Protocol: control.ProtocolMute}, {Name: "shell"}}},
		workers: []control.WorkerInfo{
			{ID: "web/0", Pool: "web", PID: os.Getpid(), State: control.Ready, Health: control.Passing, Since: at, CPU: 1500 * time.Millisecond, RSS: 4096, Requests: 8},
			{ID: "web/1", Pool: "web", PID: 1 << 30, State: control.Starting, Since: at, Restarts: 3},
			{ID: "web/2", Pool: "web", State: control.Dead},
			{ID: "shell/0", Pool: "shell", PID: 1 << 30, State: control.Ready, Since: at, Requests: 5},
		},
	}
}

func TestMetrics(t *testing.T) {
	m := newMetrics(shop(), "shop")
	if problems, err := testutil.GatherAndLint(m.registry); err != nil || len(problems) > 0 { // as promtool check metrics does
		t.Error(err, problems)
	}
	want := `# HELP norestart_pool_workers Slots of the pool by their state.
# TYPE norestart_pool_workers gauge
norestart_pool_workers{cluster="shop",pool="shell",state="backoff"} 0
norestart_pool_workers{cluster="shop",pool="shell",state="dead"} 0
norestart_pool_workers{cluster="shop",pool="shell",state="done"} 0
norestart_pool_workers{cluster="shop",pool="shell",state="draining"} 0
norestart_pool_workers{cluster="shop",pool="shell",state="exited"} 0
norestart_pool_workers{cluster="shop",pool="shell",state="ready"} 1
norestart_pool_workers{cluster="shop",pool="shell",state="starting"} 0
norestart_pool_workers{cluster="shop",pool="shell",state="stopped"} 0
norestart_pool_workers{cluster="shop",pool="web",state="backoff"} 0
norestart_pool_workers{cluster="shop",pool="web",state="dead"} 1
norestart_pool_workers{cluster="shop",pool="web",state="done"} 0
norestart_pool_workers{cluster="shop",pool="web",state="draining"} 0
norestart_pool_workers{cluster="shop",pool="web",state="exited"} 0
norestart_pool_workers{cluster="shop",pool="web",state="ready"} 1
norestart_pool_workers{cluster="shop",pool="web",state="starting"} 1
norestart_pool_workers{cluster="shop",pool="web",state="stopped"} 0
# HELP norestart_primary_up 1 if the primary answers, else 0.
# TYPE norestart_primary_up gauge
norestart_primary_up{cluster="shop"} 1
# HELP norestart_sessions Sessions of the admin port, by the way they came.
# TYPE norestart_sessions gauge
norestart_sessions{cluster="shop",via="ctl"} 0
norestart_sessions{cluster="shop",via="ssh"} 2
norestart_sessions{cluster="shop",via="tls"} 1
# HELP norestart_well 1 if nothing of the cluster needs a person, as the command status says.
# TYPE norestart_well gauge
norestart_well{cluster="shop"} 0
# HELP norestart_worker_cpu_seconds_total Processor time of the process in the slot.
# TYPE norestart_worker_cpu_seconds_total counter
norestart_worker_cpu_seconds_total{cluster="shop",pool="shell",slot="0"} 0
norestart_worker_cpu_seconds_total{cluster="shop",pool="web",slot="0"} 1.5
norestart_worker_cpu_seconds_total{cluster="shop",pool="web",slot="1"} 0
# HELP norestart_worker_requests_total Requests of the process in the slot, of workers that tell them.
# TYPE norestart_worker_requests_total counter
norestart_worker_requests_total{cluster="shop",pool="shell",slot="0"} 5
# HELP norestart_worker_restarts_total How often the slot was started again after an end that nobody asked for.
# TYPE norestart_worker_restarts_total counter
norestart_worker_restarts_total{cluster="shop",pool="shell",slot="0"} 0
norestart_worker_restarts_total{cluster="shop",pool="web",slot="0"} 0
norestart_worker_restarts_total{cluster="shop",pool="web",slot="1"} 3
norestart_worker_restarts_total{cluster="shop",pool="web",slot="2"} 0
`
	names := regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(want, -1)
	var only []string
	for _, n := range names {
		only = append(only, n[1])
	}
	if err := testutil.GatherAndCompare(m.registry, strings.NewReader(want), only...); err != nil {
		t.Error(err)
	}
}

// TestMetricsOfLibrary: workers of the library are asked for modules and mail.
func TestMetricsOfLibrary(t *testing.T) {
	c := shop()
	c.spec.Pools[0].Protocol = control.ProtocolLibrary
	c.modules = []control.ModuleInfo{{Name: "counter", Version: "v2.0.0", Reloads: 3, Failures: 1, Last: time.Second, Size: 7}}
	c.mail = control.MailInfo{Open: true, Sending: 2, Handled: 9, Repeated: 1}
	m := newMetrics(c, "shop")
	want := `# HELP norestart_messages_delivered_total Messages that the process in the slot has handled, with those that it has refused.
# TYPE norestart_messages_delivered_total counter
norestart_messages_delivered_total{cluster="shop",pool="web",slot="0"} 9
# HELP norestart_messages_in_flight Messages that the worker has sent and that are not handled yet.
# TYPE norestart_messages_in_flight gauge
norestart_messages_in_flight{cluster="shop",pool="web",slot="0"} 2
# HELP norestart_messages_repeated_total Messages that the process in the slot got again, because one that was killed may have handled them.
# TYPE norestart_messages_repeated_total counter
norestart_messages_repeated_total{cluster="shop",pool="web",slot="0"} 1
# HELP norestart_module_info The version of a module of the worker.
# TYPE norestart_module_info gauge
norestart_module_info{cluster="shop",module="counter",pool="web",slot="0",version="v2.0.0"} 1
# HELP norestart_module_reload_duration_seconds How long the module took to read its state in the last reload.
# TYPE norestart_module_reload_duration_seconds gauge
norestart_module_reload_duration_seconds{cluster="shop",module="counter",pool="web",slot="0"} 1
# HELP norestart_module_reloads_total Reloads of the module: ok are those that its state has seen, failed those that were taken back in this process.
# TYPE norestart_module_reloads_total counter
norestart_module_reloads_total{cluster="shop",module="counter",outcome="failed",pool="web",slot="0"} 1
norestart_module_reloads_total{cluster="shop",module="counter",outcome="ok",pool="web",slot="0"} 3
`
	var only []string
	for _, n := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(want, -1) {
		only = append(only, n[1])
	}
	if err := testutil.GatherAndCompare(m.registry, strings.NewReader(want), only...); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(m.asked); err != nil || len(problems) > 0 {
		t.Error(err, problems)
	}
	var page strings.Builder
	if err := PrintMetrics(t.Context(), c, "shop", &page); err != nil || !strings.Contains(page.String(), "norestart_module_info{") || strings.Contains(page.String(), "norestart_jobs_total") {
		t.Errorf("%v\n%s", err, &page)
	}
}

func TestMetricsWithoutPrimary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := shop()
		m := newMetrics(c, "shop")
		c.gone = true
		time.Sleep(90 * time.Second)
		want := `# HELP norestart_primary_down_seconds How long there has been no primary. The workers serve on.
# TYPE norestart_primary_down_seconds gauge
norestart_primary_down_seconds{cluster="shop"} 90
# HELP norestart_primary_up 1 if the primary answers, else 0.
# TYPE norestart_primary_up gauge
norestart_primary_up{cluster="shop"} 0
`
		if err := testutil.GatherAndCompare(m.registry, strings.NewReader(want), "norestart_primary_down_seconds", "norestart_primary_up", "norestart_well"); err != nil {
			t.Error(err)
		}
	})
}

func TestMetricsOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := shop()
		c.tell(control.Event{Kind: control.EventWorkerExited, Worker: "web/0", PID: 9}) // before the agent
		m := newMetrics(c, "shop")
		ctx, cancel := context.WithCancel(t.Context())
		go m.follow(ctx)
		synctest.Wait()
		c.mu.Lock()
		c.exits = map[string][]control.Exit{"web/0": {{PID: 2, Signal: "SIGKILL", Code: -1}, {PID: 1, Asked: true}}}
		at := time.Now()
		c.jobs = []control.Job{
			{ID: "4", Kind: "reload", State: control.JobFailed, Since: at, Ended: at.Add(4 * time.Second)},
			{ID: "5", Kind: "scale", State: control.JobOK, Since: at, Ended: at},
		}
		c.mu.Unlock()
		for _, pid := range []int{1, 2, 3} {
			c.tell(control.Event{Kind: control.EventWorkerExited, Worker: "web/0", PID: pid})
		}
		for _, id := range []string{"4", "5", "6"} { // of 6 nothing is known
			c.tell(control.Event{Kind: control.EventJobEnded, Job: id})
		}
		synctest.Wait()
		cancel()
		for reason, want := range map[string]float64{endAsked: 1, endSignal: 1, endUnknown: 1, endOOM: 0} {
			if got := testutil.ToFloat64(m.counted.exits.WithLabelValues("web", reason)); got != want {
				t.Errorf("%v exits of the reason %s, want %v", got, reason, want)
			}
		}
		if got := testutil.ToFloat64(m.counted.jobs.WithLabelValues("reload", "failed")); got != 1 {
			t.Errorf("%v failed reloads", got)
		}
		if got := testutil.ToFloat64(m.counted.events.WithLabelValues("job.ended")); got != 3 {
			t.Errorf("%v events job.ended", got)
		}
	})
}

func TestWhyEnded(t *testing.T) {
	for want, x := range map[string]control.Exit{
		endAsked: {PID: 1, Asked: true, Signal: "SIGTERM"}, endDone: {PID: 1}, endFailed: {PID: 1, Code: 3}, endSignal: {PID: 1, Signal: "SIGSEGV", Code: -1},
		endOOM: {PID: 1, Signal: "SIGKILL", OOM: true}, endKilled: {PID: 1, Signal: "SIGKILL", Reason: "no beat for 15s"},
		endSpawn: {Code: -1, Reason: "could not be started"}, endUnknown: {PID: 1, Unknown: true, Code: -1},
	} {
		if got := whyEnded(x); got != want {
			t.Errorf("%+v: %s, want %s", x, got, want)
		}
	}
}

// TestContrib: the alerts and the dashboard name metrics that exist.
func TestContrib(t *testing.T) {
	m := newMetrics(shop(), "shop")
	known := make(map[string]bool)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		known[f.GetName()] = true
	}
	for _, d := range slices.Concat(asked, askedOfWorkers) {
		known[regexp.MustCompile(`"(norestart_\w+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	for _, name := range []string{"norestart_events_total", "norestart_worker_exits_total", "norestart_hook_attempts_total", "norestart_hook_dropped_events_total", "norestart_log_lines_total", "norestart_probes_total"} { // which begin with the first
		known[name] = true
	}
	for _, path := range []string{"prometheus/norestart.rules.yml", "prometheus/norestart.rules_test.yml", "grafana/norestart.json", "../docs/metrics.md"} {
		text, err := os.ReadFile(filepath.Join("../contrib", path))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`norestart_\w+`).FindAllString(string(text), -1) {
			if base := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, ""); !known[name] && !known[base] {
				t.Errorf("%s: there is no metric %s", path, name)
			}
		}
	}
}

func TestAlerts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("put promtool of Prometheus into PATH to run it")
	}
	cmd := exec.CommandContext(t.Context(), promtool, "test", "rules", "norestart.rules_test.yml")
	cmd.Dir = "../contrib/prometheus"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
