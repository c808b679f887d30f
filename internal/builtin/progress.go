package builtin

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/typeset"
)

const (
	progressEvery  = 500 * time.Millisecond
	progressWithin = time.Second
	barWidth       = 20
)

// progress keeps a bar for each pool of a job below the output, on a terminal
// that can move its cursor.
type progress struct {
	call  *Call
	began time.Time
	done  chan struct{}
	tick  sync.WaitGroup

	mu    sync.Mutex // protects what follows
	bars  []*bar
	lines int // height of the bars on the screen
}

// bar is one pool's part of a job.
type bar struct {
	pool   string // or the kind of a job without pools
	total  int
	ready  map[string]bool // workers that are done
	inHand string          // a worker, and what happens to it
}

// watchJob shows the bars until end; nil if the terminal cannot.
func (c *Call) watchJob(ctx context.Context, id string) *progress {
	if !c.in.Screen.Live || c.JSON {
		return nil
	}
	p := &progress{call: c, began: time.Now(), done: make(chan struct{})}
	if !p.begin(ctx, id) {
		return nil
	}
	p.draw("")
	p.tick.Go(func() { p.run(ctx) })
	return p
}

func (p *progress) begin(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(ctx, progressWithin)
	defer cancel()
	jobs, err := control.Get(ctx, p.call.Primary, control.JobsQuery{})
	i := slices.IndexFunc(jobs, func(j control.Job) bool { return j.ID == id })
	if err != nil || i < 0 || jobs[i].State != control.JobRunning {
		return false
	}
	job := jobs[i]
	workers, err := control.Get(ctx, p.call.Primary, control.WorkersQuery{})
	if err != nil {
		return false
	}
	for _, pool := range job.Pools {
		b := &bar{pool: pool, ready: map[string]bool{}}
		for _, w := range workers {
			dead := w.State == control.Dead && job.Kind == "stop" // all others fill its slot
			if w.Pool == pool && !dead && w.State != control.Done && w.State != control.Stopped {
				b.total++
			}
		}
		p.bars = append(p.bars, b)
	}
	if len(p.bars) == 0 {
		p.bars = []*bar{{pool: job.Kind, ready: map[string]bool{}}}
	}
	if len(p.bars) == 1 && job.Total > 0 { // else it has not begun with workers
		p.bars[0].total = job.Total
	}
	p.look(workers)
	return true
}

// run redraws the bars between two events.
func (p *progress) run(ctx context.Context) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-tick.C:
			p.ask(ctx)
			p.draw("")
		}
	}
}

// ask keeps the old state if there is no answer.
func (p *progress) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, progressWithin)
	defer cancel()
	if workers, err := control.Get(ctx, p.call.Primary, control.WorkersQuery{}); err == nil {
		p.look(workers)
	}
}

// look finds the worker of each pool that is being replaced.
func (p *progress) look(workers []control.WorkerInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.bars {
		b.inHand = ""
		for _, w := range workers {
			if what := doing(w); what != "" && (w.Pool == b.pool || len(p.bars) == 1) {
				b.inHand = w.ID + " " + what
				break
			}
		}
	}
}

func doing(w control.WorkerInfo) string {
	switch {
	case w.Successor != nil:
		return "is being replaced"
	case w.State == control.Starting || w.State == control.Draining || w.State == control.Backoff:
		return string(w.State)
	case len(w.Outgoing) > 0 && !w.BuiltIn:
		return "drains its old process"
	}
	return ""
}

// event counts a step of the job and shows its text above the bars.
func (p *progress) event(e control.JobEvent) {
	p.mu.Lock()
	pool, _, _ := strings.Cut(e.Worker, "/")
	for _, b := range p.bars {
		if (b.pool == pool || len(p.bars) == 1) && e.OK && e.Worker != "" && e.Event != control.StepRolledBack {
			b.ready[e.Worker] = true
		}
		if e.Event == control.StepRolledBack {
			delete(b.ready, e.Worker)
		}
		if strings.HasPrefix(b.inHand, e.Worker+" ") {
			b.inHand = ""
		}
	}
	p.mu.Unlock()
	if e.Text != "" {
		p.draw(p.call.placed(commands.Safe(e.Text), strconv.Itoa(e.Seq)))
	}
}

// draw writes text above the bars.
func (p *progress) draw(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.erased() + text
	for _, b := range p.bars {
		if len(b.ready) < b.total && (len(b.ready) > 0 || b.inHand != "" || len(p.bars) == 1) {
			out += p.call.clipLine(b.text(time.Since(p.began))) + "\n"
			p.lines++
		}
	}
	_, _ = p.call.Out.Write([]byte(out)) // a write that fails ends the command
}

func (p *progress) erased() string {
	n := p.lines
	p.lines = 0
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r\x1b[J", n)
}

func (p *progress) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = 0
}

func (p *progress) end() {
	if p == nil {
		return
	}
	close(p.done)
	p.tick.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.call.Out.Write([]byte(p.erased())) // the same
}

func (b *bar) text(since time.Duration) string {
	n := len(b.ready)
	full := 0
	if b.total > 0 {
		full = barWidth * n / b.total
	}
	line := fmt.Sprintf("%s [%s%s] %d/%d", commands.Safe(b.pool), strings.Repeat("#", full), strings.Repeat(".", barWidth-full), n, b.total)
	if b.inHand != "" {
		line += "  " + commands.Safe(b.inHand)
	}
	if left := since / time.Duration(max(n, 1)) * time.Duration(b.total-n); n > 0 && left >= time.Second {
		line += fmt.Sprintf("  %s left", age(left))
	}
	return line
}

func (c *Call) clipLine(line string) string {
	if c.in.Screen.Width > 0 {
		return typeset.Clip(line, c.in.Screen.Width)
	}
	return line
}
