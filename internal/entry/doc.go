// Package entry lets internal/app start the life of a worker, which package
// worker implements and does not export: no application has to call it.
package entry

// Worker carries out the role of a worker process: fd is the descriptor of its
// boot message, run a [worker.Run]. It returns when run has returned and
// everything that it started has ended. Package worker sets it.
//
// [worker.Run]: https://pkg.go.dev/github.com/norestart/norestart/worker#Run
var Worker func(fd int, run any) error
