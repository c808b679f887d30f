package agent

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/norestart/norestart/control"
)

// What workers of the library are asked at each scrape.
var (
	moduleInfo     = desc("module_info", "The version of a module of the worker.", "pool", "slot", "module", "version")
	moduleReloads  = desc("module_reloads_total", "Reloads of the module: ok are those that its state has seen, failed those that were taken back in this process.", "pool", "slot", "module", "outcome")
	moduleDuration = desc("module_reload_duration_seconds", "How long the module took to read its state in the last reload.", "pool", "slot", "module")
	modulePause    = desc("module_reload_pause_seconds", "How long requests to the worker waited in the last reload of the module.", "pool", "slot", "module")
	moduleState    = desc("module_state_bytes", "The size of the state that the module got in the last reload.", "pool", "slot", "module")
	mailInFlight   = desc("messages_in_flight", "Messages that the worker has sent and that are not handled yet.", "pool", "slot")
	mailDelivered  = desc("messages_delivered_total", "Messages that the process in the slot has handled, with those that it has refused.", "pool", "slot")
	mailRefused    = desc("messages_refused_total", "Messages that the process in the slot has refused.", "pool", "slot")
	mailRepeated   = desc("messages_repeated_total", "Messages that the process in the slot got again, because one that was killed may have handled them.", "pool", "slot")
)

var askedOfWorkers = []*prometheus.Desc{
	moduleInfo, moduleReloads, moduleDuration, modulePause, moduleState, mailInFlight, mailDelivered, mailRefused, mailRepeated,
}

// library asks the workers of the application that are of the library, all pools at
// once. One that does not answer in time is left out.
func (m *metrics) library(ctx context.Context, put put, st control.Status, spec control.Spec) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, pool := range st.Pools {
		if pool.BuiltIn || !ofLibrary(spec, pool.Name) {
			continue
		}
		all.Go(func() { askEach(ctx, m.control, pool.Name, control.HandlerModules, put.modules) })
		all.Go(func() { askEach(ctx, m.control, pool.Name, control.HandlerMail, put.mail) })
	}
}

func ofLibrary(spec control.Spec, name string) bool {
	for _, p := range spec.Pools {
		if p.Name == name {
			return p.WithDefaults().Protocol == control.ProtocolLibrary
		}
	}
	return false
}

func askEach[T any](ctx context.Context, c control.Control, pool, handler string, take func(pool, slot string, answer T)) {
	r := control.CallRequest{Pool: pool, Handler: handler, Timeout: callTimeout}
	_ = control.Watch(ctx, c, r, func(a control.CallReply) error { // what has come counts
		var answer T
		if a.Error == "" && json.Unmarshal(a.Data, &answer) == nil {
			_, slot, _ := strings.Cut(a.Worker, "/")
			take(pool, slot, answer)
		}
		return nil
	})
}

func (p put) modules(pool, slot string, all []control.ModuleInfo) {
	for _, m := range all {
		p.gauge(moduleInfo, 1, pool, slot, m.Name, m.Version)
		p.counter(moduleReloads, float64(m.Reloads), pool, slot, m.Name, "ok")
		p.counter(moduleReloads, float64(m.Failures), pool, slot, m.Name, "failed")
		p.gauge(moduleDuration, m.Last.Seconds(), pool, slot, m.Name)
		p.gauge(modulePause, m.Pause.Seconds(), pool, slot, m.Name)
		p.gauge(moduleState, float64(m.Size), pool, slot, m.Name)
	}
}

func (p put) mail(pool, slot string, m control.MailInfo) {
	p.gauge(mailInFlight, float64(m.Sending), pool, slot)
	if m.Open {
		p.counter(mailDelivered, float64(m.Handled), pool, slot)
		p.counter(mailRefused, float64(m.Refused), pool, slot)
		p.counter(mailRepeated, float64(m.Repeated), pool, slot)
	}
}
