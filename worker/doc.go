// Package worker is a worker's side of a cluster: its listeners, readiness,
// drain, and the questions that it answers.
//
// Invariant: the primary decides when a worker ends, the worker decides how. When
// it is asked to drain, the context of its Run function ends: it takes no new
// work, finishes what it has, and returns. Work that is left when
// [Worker.Context] ends is cut.
//
//	func serve(ctx context.Context, w *worker.Worker) error {
//		ln, err := w.Listener("web")
//		if err != nil {
//			return err
//		}
//		return w.ServeHTTP(ctx, &http.Server{Handler: mux}, ln) // ready, serve, drain
//	}
//
// A worker without a primary serves on until the next one takes it over, unless
// its pool has another policy (control.PoolSpec, Orphan).
package worker
