// Package audit is the audit log: a file of JSON lines in the state directory,
// to which any number of processes append.
//
// Invariant: a record is written whole, by one write(2), before [Log.Append]
// returns without an error, and what has been written is never changed. A
// record goes to the file that stands at the path when it is written, so
// whoever renames the file away (logrotate, another shell worker) loses none.
//
//	log, err := audit.Open(filepath.Join(state, audit.FileName), audit.Options{})
//	err = log.Append(audit.Record{Event: audit.EventLogin, …})
//
// When the disk is full, records of those who have proved who they are still
// find room in blocks that were set aside before; those of strangers do not, so
// nobody uses that room up without an account. Each record is also sent to
// journald or syslog, where there is one, which is never waited for.
//
// Limits: the reserve needs a file system with fallocate(2). Records are not
// synced: a crash of the machine may lose the last seconds.
package audit
