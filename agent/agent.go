package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"

	"github.com/norestart/norestart/internal/shellworker"
	"github.com/norestart/norestart/worker"
)

// MetricsListener is the name of the listener of the agent's pool on which it
// serves metrics.
const MetricsListener = "metrics"

// HooksFile is the file in the state directory that has of which events hooks
// have been told.
const HooksFile = "hooks.json"

// Config is what an agent does beside keeping sockets, which package worker does.
type Config struct {
	Metrics  bool // they are served on [MetricsListener]
	Hooks    []Hook
	Commands []Command
	Logs     []Log
	Watches  []Watch
}

// Run is what a worker of the pool does, with a [Config] as JSON for its settings.
func Run(ctx context.Context, w *worker.Worker) error {
	var c Config
	access := shellworker.From(ctx)
	if len(access.Settings) > 0 {
		if err := json.Unmarshal(access.Settings, &c); err != nil {
			return fmt.Errorf("settings of the agent: %w", err)
		}
	}
	m := newMetrics(w.Control(""), w.Cluster())
	var tasks sync.WaitGroup
	defer tasks.Wait()
	if len(c.Hooks) > 0 {
		h := &hooks{control: m.control, cluster: w.Cluster(), file: filepath.Join(w.StateDir(), HooksFile), counted: m.counted}
		h.start = lastEvent(ctx, m.control) // before the cluster can be ready
		tasks.Go(func() { h.keepRunning(ctx, w.Context(), c.Hooks) })
	}
	if len(c.Logs) > 0 {
		l := newLogs(m.control, filepath.Join(w.StateDir(), LogsFile), m.counted, c.Logs)
		tasks.Go(func() { l.run(ctx) })
	}
	for _, one := range c.Watches {
		tasks.Go(func() { keepWatching(ctx, w.Control("watch"), one, c.ownFiles(w.StateDir())) })
	}
	tasks.Go(func() { newProbes(m.control, m.counted).run(ctx, filepath.Join(w.StateDir(), ProbesLock)) })
	tasks.Go(func() { c.serveCommands(ctx, w.Cluster(), access.Calls, &tasks) })
	if !c.Metrics {
		w.Ready()
		<-ctx.Done()
		return nil
	}
	ln, err := w.Listener(MetricsListener)
	if err != nil {
		return err
	}
	tasks.Go(func() { m.follow(ctx) })
	return w.ServeHTTP(ctx, &http.Server{Handler: m.handler(), ReadHeaderTimeout: requestTimeout}, ln)
}

// ownFiles are those that the cluster itself writes.
func (c Config) ownFiles(state string) []string {
	own := []string{state}
	for _, l := range c.Logs {
		own = append(own, l.Path)
		for i := range l.Keep {
			own = append(own, fmt.Sprintf("%s.%d", l.Path, i+1))
		}
	}
	return own
}
