// Package sandbox takes rights from the process that calls it, for good.
//
// Invariant: what [NoExec] took holds for every thread of the process, those
// that exist and those to come, and nothing gives it back.
//
//	if err := sandbox.NoExec(); err != nil {
//		log.Print(err) // the kernel offers no filters: go on without
//	}
//
// Limits: Linux on amd64 and arm64. It is a fence against a process that was
// taken over through its parsers, not against code that may write any file of
// its user.
package sandbox
