package commands

import (
	"context"
	"strings"

	"github.com/norestart/norestart/control"
)

func workerRevive(ctx context.Context, call *Call) error {
	ids, err := call.Words(0, -1)
	if err != nil {
		return err
	}
	return call.begin(ctx, func(ctx context.Context) (control.Job, error) {
		return call.Primary.Revive(ctx, control.ReviveRequest{IDs: ids})
	})
}

func workerRestart(ctx context.Context, call *Call) error {
	return call.oneWorker(ctx, call.Primary.RestartWorker)
}

func workerStop(ctx context.Context, call *Call) error {
	return call.oneWorker(ctx, call.Primary.StopWorker)
}

func (c *Call) oneWorker(ctx context.Context, do func(context.Context, string) (control.Job, error)) error {
	ids, err := c.Words(1, 1)
	if err != nil {
		return err
	}
	return c.begin(ctx, func(ctx context.Context) (control.Job, error) { return do(ctx, ids[0]) })
}

// workerSignal signals the incarnation that it saw: a signal that comes late
// does not hit the next one.
func workerSignal(ctx context.Context, call *Call) error {
	words, err := call.Words(2, 2)
	if err != nil {
		return err
	}
	w, err := call.worker(ctx, words[0])
	if err != nil {
		return err
	}
	if w.PID == 0 {
		return &Error{Code: "not_running", Message: "worker " + w.ID + " has no process: it is " + string(w.State)}
	}
	r := control.SignalRequest{ID: w.ID, Signal: strings.ToUpper(words[1]), Incarnation: w.Incarnation}
	_, err = answer(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, call.Primary.Signal(ctx, r)
	})
	if err != nil {
		return err
	}
	if call.JSON {
		return call.WriteJSON(map[string]any{"worker": w.ID, "pid": w.PID, "signal": r.Signal})
	}
	call.Printf("sent %s to worker %s, pid %d\n", Safe(r.Signal), Safe(w.ID), w.PID)
	return nil
}
