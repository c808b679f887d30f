package e2e

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/harness"
)

// sequences are all that a primary does to its cluster.
var sequences = []sequence{
	{name: "start", fresh: true, alone: true},
	{name: "adopt", args: shellArgs, before: func(*testing.T, *victim) {}}, // there is one to adopt from,
	{name: "start_shell", long: true, fresh: true, alone: true, args: shellArgs},
	{name: "restart_shell", long: true, args: shellArgs, do: restart(false), after: oneGeneration},
	{name: "reload", before: pruned, do: reload, after: oneGeneration},
	{name: "reload_rolled_back", before: broken, do: reload, after: mended},
	{name: "reload_moves", alone: true, long: true, before: elsewhere, do: reload, after: oneAddress},
	{name: "rollback", before: reloaded, do: rollback, after: oneGeneration},
	{name: "scale_up", fresh: true, deaf: true, args: []string{"--workers", "1"}, do: scale(3), after: target(3)},
	{name: "scale_down", before: scaled(3), do: scale(1), after: target(1)},
	{name: "worker_stop", before: revived, do: stopWorker, after: halted(1)},
	{name: "worker_revive", before: stoppedFirst, do: revive, after: halted(0)},
	{name: "worker_restart", do: restartWorker},
	{name: "worker_ends", fresh: true, do: endWorker("web/1")},
	{name: "only_worker_ends", fresh: true, alone: true, args: []string{"--workers", "1", "--lame-duck", "20ms"}, do: endWorker("web/0")},
	{name: "restart_primary", do: restart(true)},
	{name: "restart", do: restart(false), after: oneGeneration},
	{name: "stop", fresh: true, alone: true, ends: true, do: stop},
}

func scale(to int) func(context.Context, control.Control) (control.Job, error) {
	return func(ctx context.Context, c control.Control) (control.Job, error) {
		return c.Do(ctx, control.ScaleRequest{Pool: "web", To: to}, nil)
	}
}

// elsewhere is a primary that was started with another address for its pool,
// which the next reload opens.
func elsewhere(t *testing.T, v *victim) {
	v.former = web(v.settle(t)).Listen[0]
	v.kill(t)
	v.args[slices.Index(v.args, "--listen")+1] = free(t)
	v.start(t)
	v.settle(t)
}

// oneAddress: the pool is at one of the two addresses, at the new one if
// somebody was told so, and nobody listens at the other.
func oneAddress(t *testing.T, v *victim, st control.Status) {
	t.Helper()
	oneGeneration(t, v, st)
	next := "tcp://" + v.args[slices.Index(v.args, "--listen")+1]
	here, gone := next, v.former
	if web(st).Listen[0] == v.former && v.told != string(control.JobOK) {
		here, gone = v.former, next
	}
	if d := cmp.Diff([]string{here}, web(st).Listen); d != "" {
		v.fatal(t, "the pool listens on (-want +got):\n%s", d)
	}
	r := harness.Load{Client: harness.Client{Address: strings.TrimPrefix(here, "tcp://")}, Clients: 3, Rate: 300, Count: 12, Limit: harness.Patience}.Start(t.Context()).Wait()
	if r.Failed > 0 {
		v.fatal(t, "%d of %d requests failed: %q", r.Failed, r.Requests, r.Causes)
	}
	if c, err := net.DialTimeout("tcp", strings.TrimPrefix(gone, "tcp://"), harness.Patience); !errors.Is(err, unix.ECONNREFUSED) {
		if err == nil {
			err = c.Close()
		}
		v.fatal(t, "somebody listens on %s still: %v", gone, err)
	}
}

func scaled(to int) func(*testing.T, *victim) {
	return func(t *testing.T, v *victim) { v.must(t, scale(to)) }
}

// target: what was accepted holds under the next primary.
func target(want int) func(*testing.T, *victim, control.Status) {
	return func(t *testing.T, v *victim, st control.Status) {
		if got := web(st).Target; got != want && (v.accepted || got != v.target) {
			v.fatal(t, "target %d, want %d; it was %d; accepted: %t", got, want, v.target, v.accepted)
		}
	}
}

func stopWorker(ctx context.Context, c control.Control) (control.Job, error) {
	return c.Do(ctx, control.StopWorkerRequest{ID: "web/1"}, nil)
}

func revive(ctx context.Context, c control.Control) (control.Job, error) {
	return c.Do(ctx, control.ReviveRequest{IDs: []string{"web/1"}}, nil)
}

func restartWorker(ctx context.Context, c control.Control) (control.Job, error) {
	return c.Do(ctx, control.RestartWorkerRequest{ID: "web/1"}, nil)
}

func revived(t *testing.T, v *victim)      { v.must(t, revive) }
func stoppedFirst(t *testing.T, v *victim) { v.must(t, stopWorker) }

// halted: what was accepted holds under the next primary.
func halted(want int) func(*testing.T, *victim, control.Status) {
	return func(t *testing.T, v *victim, st control.Status) {
		if got := web(st).Stopped; v.accepted && got != want {
			v.fatal(t, "%d workers are stopped, want %d", got, want)
		}
	}
}

// endWorker lets a worker end by itself, and waits until its slot is filled.
func endWorker(id string) func(context.Context, control.Control) (control.Job, error) {
	return func(ctx context.Context, c control.Control) (none control.Job, err error) {
		before, err := control.Get(ctx, c, control.WorkerQuery{ID: id})
		if err != nil {
			return none, err
		}
		ask := control.CallRequest{Pool: "web", Handler: "end", Args: []string{id}}
		if err := control.Watch(ctx, c, ask, func(control.CallReply) error { return nil }); err != nil {
			return none, err
		}
		return none, harness.Poll(ctx, func() bool {
			now, err := control.Get(ctx, c, control.WorkerQuery{ID: id})
			return err == nil && now.State == control.Ready && now.Incarnation != before.Incarnation
		})
	}
}

func restart(primary bool) func(context.Context, control.Control) (control.Job, error) {
	return func(ctx context.Context, c control.Control) (control.Job, error) {
		return c.Do(ctx, control.RestartRequest{Primary: primary}, nil)
	}
}

func stop(ctx context.Context, c control.Control) (control.Job, error) {
	return c.Do(ctx, control.StopRequest{}, nil)
}

// shellArgs give the cluster an admin port. Nobody logs in: the hash is as good
// as any.
var shellArgs = []string{"--password-hash", "$argon2id$v=19$m=19456,t=2,p=1$vrGDijlrNAt2cKDf+2uYOA$iICkCF00O8r0uapxK3BR863p1edNgsmnWOXyLYJ9tgg"}

func reload(ctx context.Context, c control.Control) (control.Job, error) {
	return c.Do(ctx, control.ReloadRequest{}, nil)
}

func rollback(ctx context.Context, c control.Control) (control.Job, error) {
	return c.Do(ctx, control.RollbackRequest{}, nil)
}

// pruned has so many generations that the next one ends the oldest.
func pruned(t *testing.T, v *victim) {
	for v.keeps(t) < 3 {
		v.must(t, reload)
	}
}

// reloaded has a generation to go back to: after a rollback there is none.
func reloaded(t *testing.T, v *victim) { v.must(t, reload) }

func (v *victim) keeps(t *testing.T) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	kept, err := control.Get(ctx, v.control(), control.GenerationsQuery{})
	if err != nil {
		v.fatal(t, "generations: %v", err)
	}
	n := 0
	for _, g := range kept {
		if !g.GivenUp {
			n++
		}
	}
	return n
}

// broken lets the last worker of a new generation fail.
func broken(t *testing.T, v *victim) {
	if err := os.WriteFile(filepath.Join(v.work, "exit.2"), []byte("3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mended: what was begun has been undone.
func mended(t *testing.T, v *victim, st control.Status) {
	t.Helper()
	if err := os.Remove(filepath.Join(v.work, "exit.2")); err != nil {
		t.Fatal(err)
	}
	if g := web(st).Generation; g != v.generation {
		v.fatal(t, "generation %d, want %d", g, v.generation)
	}
	oneGeneration(t, v, st)
}

// oneGeneration: all workers run what the pool runs, the new one if somebody
// was told so.
func oneGeneration(t *testing.T, v *victim, st control.Status) {
	t.Helper()
	if v.told == string(control.JobOK) && web(st).Generation == v.generation {
		v.fatal(t, "still generation %d, but the job was ok", v.generation)
	}
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	workers, err := control.Get(ctx, v.control(), control.WorkersQuery{})
	if err != nil {
		v.fatal(t, "workers: %v", err)
	}
	for _, w := range workers {
		if want := web(st).Generation; !w.BuiltIn && w.Generation != want {
			v.fatal(t, "%s runs generation %d, want %d", w.ID, w.Generation, want)
		}
	}
}
