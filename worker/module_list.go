package worker

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/norestart/norestart/control"
)

// builtIn are the handlers that every worker has; nil: the name is none of theirs.
// They pass no gate: they answer also while a state moves.
func (w *Worker) builtIn(name string) Handler {
	if name == control.HandlerModules {
		return func(context.Context, []string) ([]byte, error) { return json.Marshal(w.modules.infos()) }
	}
	if h := w.configHandlers(name); h != nil {
		return h
	}
	if h := w.mailHandlers(name); h != nil {
		return h
	}
	return w.moduleHandlers(name)
}

// infos are in the order of registration.
func (all *modules) infos() []control.ModuleInfo {
	all.mu.Lock()
	defer all.mu.Unlock()
	infos := []control.ModuleInfo{}
	for _, m := range all.all {
		if m.internal() {
			continue
		}
		info := m.info
		info.Cooling = int(all.cooling.Load())
		infos = append(infos, info)
	}
	return infos
}

// note changes what is told of a module.
func (all *modules) note(m *module, change func(*control.ModuleInfo)) {
	all.mu.Lock()
	defer all.mu.Unlock()
	change(&m.info)
}

// began tells with which state a module goes on.
func (all *modules) began(m *module, info control.ModuleInfo) {
	if !m.internal() {
		fmt.Printf("module %s: %s, %d bytes\n", m.name, move(info.From, m.Version), info.Size)
	}
	all.note(m, func(i *control.ModuleInfo) { *i = info })
}
