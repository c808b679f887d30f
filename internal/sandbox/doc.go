// Package sandbox takes rights from the process that calls it, for good.
//
// Invariant: what [NoExec] took is taken from every thread of the process,
// present and future, and cannot be given back.
//
//	if err := sandbox.NoExec(); err != nil {
//		log.Print(err) // the kernel offers no filters: go on without
//	}
//
// Limits: Linux on amd64 and arm64. It restrains a process that was taken over
// through its parsers, not code that may write any file of its user.
package sandbox
