// Package audit is the audit log: a file of JSON lines in the state directory,
// to which any number of processes append.
//
// Invariant: a record is written whole, by one write(2), before [Log.Append]
// returns without an error, and a written record is never changed. It goes to
// the file that is at the path at that moment, so renaming the file (logrotate,
// another shell worker) loses no record.
//
//	log, err := audit.Open(filepath.Join(state, audit.FileName), audit.Options{})
//	err = log.Append(audit.Record{Event: audit.EventLogin, …})
//
// The oldest file is removed when there are too many. Its important records are
// first copied to files of their own, in which the records of users who may
// only look take no room.
//
// When the disk is full, records after a login still find room in blocks that
// were set aside before. Records before a login do not: without an account the
// reserve cannot be used up. A copy of each record goes to journald or syslog,
// where there is one; the log never waits for it.
//
// Limits: the reserve needs a file system with fallocate(2). Records are not
// synced: a crash of the machine may lose the last seconds.
package audit
