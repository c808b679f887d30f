package workertest

import (
	"context"

	"github.com/norestart/norestart/worker"
)

// WithState is a worker that hands on the state of one module and does nothing
// else: for the test of code that begins with what an earlier, or a later, version
// has left.
func WithState(module string, state worker.State) worker.Run {
	return func(ctx context.Context, w *worker.Worker) error {
		err := w.Register(module, worker.Module{
			Version:      state.Version,
			BeforeReload: func(context.Context) (worker.State, error) { return state, nil },
		})
		if err != nil {
			return err
		}
		w.Ready()
		<-ctx.Done()
		return nil
	}
}
