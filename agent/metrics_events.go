package agent

import (
	"context"
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/norestart/norestart/control"
)

// counted are the metrics that come of events. They begin at 0 in each agent.
type counted struct {
	events  *prometheus.CounterVec
	exits   *prometheus.CounterVec
	jobs    *prometheus.CounterVec
	reloads *prometheus.HistogramVec
	hooks   *prometheus.CounterVec
	dropped *prometheus.CounterVec
	lines   *prometheus.CounterVec
	probes  *prometheus.CounterVec
}

// Why processes end, in the label reason of exits.
const (
	endAsked   = "asked"       // it was told to
	endDone    = "done"        // exit status 0
	endFailed  = "failed"      // another exit status
	endSignal  = "signal"      // of somebody else, or of a crash
	endOOM     = "oom"         // the kernel wanted its memory
	endKilled  = "killed"      // norestart killed it: not ready, drained or heard of in time
	endSpawn   = "not_started" // it could not be started
	endUnknown = "unknown"
)

var ends = []string{endAsked, endDone, endFailed, endSignal, endOOM, endKilled, endSpawn, endUnknown}

func newCounted() counted {
	c := counted{
		events:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "norestart_events_total", Help: "Events of the cluster, by kind."}, []string{"kind"}),
		exits:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "norestart_worker_exits_total", Help: "Ends of processes of the pool, and why: a crash is one with another reason than asked or done."}, []string{"pool", "reason"}),
		jobs:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "norestart_jobs_total", Help: "Jobs that have ended, by kind and outcome."}, []string{"kind", "outcome"}),
		reloads: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "norestart_reload_duration_seconds", Help: "How long reloads took, by outcome.", Buckets: []float64{0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800}}, []string{"outcome"}),
		hooks:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "norestart_hook_attempts_total", Help: "Attempts to tell hooks of events: ok, retried, or failed: that was the last."}, []string{"hook", "outcome"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "norestart_hook_dropped_events_total", Help: "Events that a hook was too slow for."}, []string{"hook"}),
		lines:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "norestart_log_lines_total", Help: "Lines for log files: written, dropped because they came too fast, or failed to be written."}, []string{"pool", "outcome"}),
		probes:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "norestart_probes_total", Help: "Probes of processes, live or ready, by outcome; void: it came too late to tell, as this process stood still."}, []string{"pool", "probe", "outcome"}),
	}
	for _, outcome := range control.JobStates() { // a rise is seen only from a value that was there before
		c.reloads.WithLabelValues(string(outcome))
		for _, kind := range control.JobKinds() {
			c.jobs.WithLabelValues(kind, string(outcome))
		}
	}
	return c
}

func (c counted) register(to prometheus.Registerer) {
	to.MustRegister(c.events, c.exits, c.jobs, c.reloads, c.hooks, c.dropped, c.lines, c.probes)
}

// follow counts events until ctx ends.
func (m *metrics) follow(ctx context.Context) {
	m.pools(ctx)
	_ = events.follow(ctx, m.control, control.Cursor{}, func(e control.Event) error { // it ends with ctx
		m.met()
		m.counted.events.WithLabelValues(string(e.Kind)).Inc()
		switch e.Kind {
		case control.EventWorkerExited:
			m.exited(ctx, e)
		case control.EventJobEnded:
			m.jobEnded(ctx, e)
		case control.EventClusterReady:
			m.pools(ctx)
		}
		return nil
	})
}

// pools begins the counters of the pools that there are.
func (m *metrics) pools(ctx context.Context) {
	st, err := control.Get(ctx, m.control, control.StatusQuery{})
	if err != nil {
		return // another event will come
	}
	m.met()
	for _, p := range st.Pools {
		for _, reason := range ends {
			m.counted.exits.WithLabelValues(p.Name, reason)
		}
	}
}

func (m *metrics) exited(ctx context.Context, e control.Event) {
	d, err := control.Get(ctx, m.control, control.WorkerQuery{ID: e.Worker})
	if errors.Is(err, control.ErrNoWorker) {
		return // its pool has gone
	}
	reason := endUnknown
	if i := slices.IndexFunc(d.Exits, func(x control.Exit) bool { return x.PID == e.PID }); i >= 0 {
		reason = whyEnded(d.Exits[i])
	}
	m.counted.exits.WithLabelValues(poolOf(e.Worker), reason).Inc()
}

func whyEnded(x control.Exit) string {
	switch {
	case x.Asked:
		return endAsked
	case x.Unknown:
		return endUnknown
	case x.PID == 0:
		return endSpawn
	case x.OOM:
		return endOOM
	case x.Signal != "" && x.Reason != "":
		return endKilled
	case x.Signal != "":
		return endSignal
	case x.Code != 0:
		return endFailed
	}
	return endDone
}

func (m *metrics) jobEnded(ctx context.Context, e control.Event) {
	j, ok := jobOf(ctx, m.control, e)
	if !ok {
		return
	}
	m.counted.jobs.WithLabelValues(j.Kind, string(j.State)).Inc()
	if j.Kind == "reload" {
		m.counted.reloads.WithLabelValues(string(j.State)).Observe(j.Ended.Sub(j.Since).Seconds())
	}
}
