// Package inject writes the overlay of a build in which [fault.Around] wraps
// every call that changes something outside of the process.
//
// It is told which calls, not where they are: a call that somebody adds to one
// of the packages is found by itself. Nothing is written beside the sources;
// line numbers stay.
//
// [fault.Around]: https://pkg.go.dev/github.com/norestart/norestart/internal/fault
package inject
