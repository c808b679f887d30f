// Package inject writes the overlay of a build in which [fault.Around] wraps
// every call that changes something outside of the process, or in which single
// places are changed ([Rewrite]).
//
// [Overlay] is told which calls to wrap, not where they are, so it also finds calls
// that are added later. It writes nothing beside the sources, and line numbers
// stay.
//
// [fault.Around]: https://pkg.go.dev/github.com/norestart/norestart/internal/fault
package inject
