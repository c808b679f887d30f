// Package workertest runs an application in a test: one worker without a process
// of its own ([Start]), a whole cluster of the test binary ([StartCluster]), and
// commands ([Operator]).
//
// Invariant: what a test has started ends with it. A worker is drained when the
// test is over, a cluster is stopped, and what does not end fails the test.
//
//	func TestCountSurvivesReload(t *testing.T) {
//		slot := workertest.Start(t, norestart.Pool{Run: serve})
//		get(t, slot, "/") // "request 1"
//		if err := slot.Reload(serve); err != nil {
//			t.Fatal(err)
//		}
//		get(t, slot, "/") // "request 2", on the same connection
//	}
//
// The test plays the primary. Everything between a worker and its successor is
// that of a cluster: hooks, states, open connections, the drain.
//
// Limits: Linux. A worker of [Start] shares the memory of the test and its
// signals: a panic of Run ends the test, TERM drains the worker. It has no
// cluster: [worker.Worker.Control] is [control.ErrUnavailable].
package workertest
