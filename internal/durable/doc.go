// Package durable writes small files so that they survive a crash, and reads
// secrets only from files that nobody else can read.
//
// Invariant: at any moment the file at a path is the old one or the new one,
// whole; a write that fails (disk full, crash) leaves the old one, and, unless
// the process was killed, nothing beside it. A file that is replaced keeps its
// owner; a new one belongs to the owner of its directory.
//
// Limits: files of a few kilobytes, held in memory. A process that is killed in
// the middle leaves a temporary file (.NAME.tmp-…, mode 0600) behind, for
// [Sweep]. Owners and locks are those of Unix; elsewhere owners are not checked and [Acquire]
// refuses.
package durable
