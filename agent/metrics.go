package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/sessions"
)

// Bounds of one scrape.
const (
	requestTimeout = 10 * time.Second
	askTimeout     = 3 * time.Second // of the primary
	callTimeout    = time.Second     // of the processes of the admin port
	maxScrapes     = 4               // at the same time
)

// metrics asks the cluster at each scrape how it is, and counts what happens
// between them.
type metrics struct {
	control  control.Control
	registry *prometheus.Registry // all
	asked    *prometheus.Registry // without what is counted
	counted  counted
	answered atomic.Int64 // when the primary was there for the last time, in Unix nanoseconds
}

func newMetrics(c control.Control, cluster string) *metrics {
	m := &metrics{control: c, registry: prometheus.NewPedanticRegistry(), asked: prometheus.NewPedanticRegistry(), counted: newCounted()}
	m.met()
	for _, r := range []*prometheus.Registry{m.registry, m.asked} {
		prometheus.WrapRegistererWith(prometheus.Labels{"cluster": cluster}, r).MustRegister(m)
	}
	m.counted.register(prometheus.WrapRegistererWith(prometheus.Labels{"cluster": cluster}, m.registry))
	return m
}

func (m *metrics) met() { m.answered.Store(time.Now().UnixNano()) }

func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", text(m.registry))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "norestart: the metrics are at /metrics\n") // who has gone needs none
	})
	return mux
}

func text(r *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: maxScrapes, Timeout: requestTimeout})
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("norestart_"+name, help, labels, nil)
}

// What is asked at each scrape.
var (
	primaryUp    = desc("primary_up", "1 if the primary answers, else 0.")
	primaryStart = desc("primary_start_time_seconds", "When the primary was started, in Unix time.")
	primaryGone  = desc("primary_down_seconds", "How long there has been no primary. The workers serve on.")
	version      = desc("info", "The version of norestart that the primary is.", "version")
	clusterWell  = desc("well", "1 if nothing of the cluster needs a person, as the command status says.")
	poolWell     = desc("pool_well", "1 if nothing of the pool needs a person.", "pool")
	poolTarget   = desc("pool_target_workers", "How many workers the pool should have.", "pool")
	poolConfig   = desc("pool_configured_workers", "How many workers the configuration asks for.", "pool")
	poolGen      = desc("pool_generation", "The generation that the pool runs.", "pool")
	poolStates   = desc("pool_workers", "Slots of the pool by their state.", "pool", "state")
	runNext      = desc("run_next_time_seconds", "When the schedule of the pool starts its worker next, in Unix time.", "pool")
	reloadNext   = desc("reload_next_time_seconds", "When the clock reloads the pool next, in Unix time.", "pool")
	runEnded     = desc("run_last_end_time_seconds", "When the last run of the schedule ended, in Unix time.", "pool")
	runTook      = desc("run_last_duration_seconds", "How long that run took.", "pool")
	runStatus    = desc("run_last_exit_status", "The exit status of that run; -1: a signal ended it, or it is not known.", "pool")
	jobsRunning  = desc("jobs_running", "Jobs that have not ended.")
	workerReady  = desc("worker_ready", "1 if the slot has a worker that serves.", "pool", "slot")
	workerHealth = desc("worker_healthy", "0 if the probe of the worker has failed so often that it is to be replaced, else 1; of workers whose probe has answered.", "pool", "slot")
	workerStart  = desc("worker_start_time_seconds", "When the process in the slot was started, in Unix time.", "pool", "slot")
	workerAgain  = desc("worker_restarts_total", "How often the slot was started again after an end that nobody asked for.", "pool", "slot")
	workerCPU    = desc("worker_cpu_seconds_total", "Processor time of the process in the slot.", "pool", "slot")
	workerMemory = desc("worker_resident_memory_bytes", "Resident memory of the process in the slot.", "pool", "slot")
	workerFiles  = desc("worker_open_fds", "Open descriptors of the process in the slot, where the agent may look.", "pool", "slot")
	workerConns  = desc("worker_connections", "Open connections of workers that tell them.", "pool", "slot")
	workerReqs   = desc("worker_requests_total", "Requests of the process in the slot, of workers that tell them.", "pool", "slot")
	sessionsOpen = desc("sessions", "Sessions of the admin port, by the way they came.", "via")
)

var asked = []*prometheus.Desc{
	primaryUp, primaryStart, primaryGone, version, clusterWell, poolWell, poolTarget, poolConfig, poolGen, poolStates, jobsRunning,
	runNext, reloadNext, runEnded, runTook, runStatus,
	workerReady, workerHealth, workerStart, workerAgain, workerCPU, workerMemory, workerFiles, workerConns, workerReqs, sessionsOpen,
}

// Describe implements [prometheus.Collector].
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range slices.Concat(asked, askedOfWorkers) {
		to <- d
	}
}

// put gives metrics to a scrape.
type put func(d *prometheus.Desc, t prometheus.ValueType, value float64, labels ...string)

// Collect implements [prometheus.Collector].
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	put := put(func(d *prometheus.Desc, t prometheus.ValueType, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, t, value, labels...)
	})
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	st, spec, workers, err := m.ask(ctx)
	if err != nil {
		put.gauge(primaryUp, 0)
		put.gauge(primaryGone, time.Since(time.Unix(0, m.answered.Load())).Seconds())
		return
	}
	put.status(st)
	put.workers(workers, spec)
	m.library(ctx, put, st, spec)
	for via, n := range m.sessions(ctx, spec.Admin) {
		put.gauge(sessionsOpen, float64(n), via)
	}
}

func (m *metrics) ask(ctx context.Context) (st control.Status, spec control.Spec, workers []control.WorkerInfo, err error) {
	var errs [3]error
	st, errs[0] = control.Get(ctx, m.control, control.StatusQuery{})
	workers, errs[1] = control.Get(ctx, m.control, control.WorkersQuery{})
	spec, errs[2] = control.Get(ctx, m.control, control.SpecQuery{})
	if err = errors.Join(errs[:]...); err == nil {
		m.met()
	}
	return st, spec, workers, err
}

func (p put) gauge(d *prometheus.Desc, value float64, labels ...string) {
	p(d, prometheus.GaugeValue, value, labels...)
}

func (p put) counter(d *prometheus.Desc, value float64, labels ...string) {
	p(d, prometheus.CounterValue, value, labels...)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (p put) status(st control.Status) {
	p.gauge(primaryUp, number(st.Primary != nil))
	p.gauge(primaryGone, 0)
	if st.Primary != nil {
		p.gauge(primaryStart, seconds(st.Primary.Since))
	}
	p.gauge(version, 1, st.Version)
	p.gauge(clusterWell, number(st.Well()))
	p.gauge(jobsRunning, float64(len(st.Jobs)))
	for _, q := range st.Pools {
		p.gauge(poolWell, number(q.Well()), q.Name)
		p.gauge(poolTarget, float64(q.Target), q.Name)
		p.gauge(poolConfig, float64(q.Configured), q.Name)
		p.gauge(poolGen, float64(q.Generation), q.Name)
		if !q.Next.IsZero() {
			p.gauge(runNext, seconds(q.Next), q.Name)
		}
		if !q.NextReload.IsZero() {
			p.gauge(reloadNext, seconds(q.NextReload), q.Name)
		}
	}
}

var states = []control.State{
	control.Starting, control.Ready, control.Draining, control.Exited, control.Backoff, control.Dead, control.Stopped, control.Done,
}

func (p put) workers(all []control.WorkerInfo, spec control.Spec) {
	for _, pool := range spec.Pools {
		count := make(map[control.State]int)
		for _, w := range all {
			if w.Pool == pool.Name {
				count[w.State]++
				p.worker(w, pool.WithDefaults().Protocol == control.ProtocolLibrary)
			}
		}
		for _, s := range states {
			p.gauge(poolStates, float64(count[s]), pool.Name, string(s))
		}
	}
}

// worker gives what is known of one slot. tells: its worker says how many
// connections and requests it has.
func (p put) worker(w control.WorkerInfo, tells bool) {
	_, slot, _ := strings.Cut(w.ID, "/")
	p.gauge(workerReady, number(w.State == control.Ready), w.Pool, slot)
	p.counter(workerAgain, float64(w.Restarts), w.Pool, slot)
	if x := w.LastExit; x != nil && !w.Next.IsZero() {
		p.gauge(runEnded, seconds(x.Time), w.Pool)
		p.gauge(runTook, x.Uptime.Seconds(), w.Pool)
		p.gauge(runStatus, float64(x.Code), w.Pool)
	}
	if w.PID == 0 {
		return
	}
	if w.Health != "" {
		p.gauge(workerHealth, number(w.Health != control.Unhealthy), w.Pool, slot)
	}
	p.gauge(workerStart, seconds(w.Since), w.Pool, slot)
	p.counter(workerCPU, w.CPU.Seconds(), w.Pool, slot)
	p.gauge(workerMemory, float64(w.RSS), w.Pool, slot)
	if n, err := openFiles(w.PID); err == nil {
		p.gauge(workerFiles, float64(n), w.Pool, slot)
	}
	if tells {
		p.gauge(workerConns, float64(w.Connections), w.Pool, slot)
		p.counter(workerReqs, float64(w.Requests), w.Pool, slot)
	}
}

// openFiles counts the descriptors of a process (proc_pid_fd(5)).
func openFiles(pid int) (int, error) {
	dir, err := os.Open("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return len(names), err
}

// sessions counts those of the admin port, if there is one, by the way they came.
// A process of it that does not answer in time is left out.
func (m *metrics) sessions(ctx context.Context, pool string) map[string]int {
	if pool == "" {
		return nil
	}
	count := map[string]int{"ssh": 0, "tls": 0, "ctl": 0}
	r := control.CallRequest{Pool: pool, Handler: sessions.HandlerList, Timeout: callTimeout}
	_ = control.Watch(ctx, m.control, r, func(a control.CallReply) error { // what has come counts
		var list []sessions.Session
		if a.Error == "" && json.Unmarshal(a.Data, &list) == nil {
			for _, s := range list {
				count[s.Via]++
			}
		}
		return nil
	})
	return count
}
