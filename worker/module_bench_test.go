package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// BenchmarkState hands a state of a size over, from one worker to the next, as data
// (which is copied once) and as memory (which is not), and reports the longest
// time in which the slot answered nothing. The first worker's start is not in it. The
// first handover, for which nothing was reserved, is told by itself.
//
//	go test ./worker -run '^$' -bench State -benchtime 10x
func BenchmarkState(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20, 256 << 20} {
		for _, form := range []string{"data", "memory"} {
			b.Run(fmt.Sprintf("%s/%dKiB", form, size>>10), func(b *testing.B) { handOverState(b, size, form == "memory") })
		}
	}
}

func handOverState(b *testing.B, size int, memory bool) {
	p, s := newPrimary(b), socket(b)
	data := make([]byte, size)
	pages, err := Memory("pages")
	must(b, err)
	defer pages.Close()
	if memory {
		_, err = pages.Write(data)
		must(b, err)
	}
	m := Module{
		Version: "v1.0.0", Timeout: soon,
		BeforeReload: func(context.Context) (State, error) {
			if !memory {
				return State{Data: data}, nil
			}
			f, err := File(pages)
			return State{Files: []*os.File{f}}, err
		},
		AfterReload: func(_ context.Context, _ *Scope, state State) error {
			if len(state.Data) != size && len(state.Files) != 1 {
				return errors.New("not the whole state")
			}
			return nil
		},
	}
	w := p.first(withModules(m), s)
	var first, longest float64
	for b.Loop() {
		next := p.follow(w, withModules(m), s)
		next.await(ipc.TypeReady)
		if pause := p.pause(next); first == 0 {
			first = pause
		} else {
			longest = max(longest, pause)
		}
		w.send(ipc.TypeDrain, ipc.Drain{Deadline: soon})
		must(b, w.exited())
		w = next
	}
	b.ReportMetric(first*1000, "ms-first")
	b.ReportMetric(longest*1000, "ms-pause")
}

// pause is how long the slot has answered nothing, in seconds. It is known a moment
// after the worker has said that it is ready.
func (p *primary) pause(w *peer) float64 {
	for {
		var infos []control.ModuleInfo
		must(p.t, json.Unmarshal(p.question(w, control.HandlerModules).Body, &infos))
		if infos[0].Pause > 0 {
			return infos[0].Pause.Seconds()
		}
	}
}
