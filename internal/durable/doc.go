// Package durable writes small files so that they survive a crash, and reads
// secrets only from files that other users cannot read.
//
// Invariant: at any moment the file at a path is the old one or the new one,
// whole. A write that fails (disk full, crash) leaves the old one, and no other
// file unless the process was killed. A file that is replaced keeps its owner;
// a new one belongs to the owner of its directory.
//
// Limits: files of a few kilobytes, held in memory. A process that is killed in
// the middle leaves a temporary file (.NAME.tmp-…, mode 0600) for [Sweep]. On
// systems other than Unix owners are not checked and [Acquire] refuses.
package durable
