// Package proc starts processes, tells how they ended and signals them.
//
// Invariant: a pid is used only while it cannot have been given to another
// process. A child is signalled and measured only until it is reaped, under
// the lock under which it is reaped, and each child is reaped in one place, by
// its own pid. A process that somebody else may reap is known by pid and start
// time together ([StartTime]).
//
// Each child leads its own process group. When it ends, what is left of the
// group gets SIGKILL before the leader is reaped: only until then is the number
// of the group surely ours. A program that wants to outlive its worker must
// leave the group (setsid(2)).
//
// The real implementation is [OS]; package proctest has a scripted one and the
// test that both pass. A child costs one goroutine and one descriptor (its
// pidfd), no thread: os.Process.Wait and os/exec block a thread per child and
// turn shared sockets to blocking mode, so nothing here uses them, and nothing
// else in a process that uses [OS] should start children or wait for them.
//
// Linux only, from 5.4 on (pidfd_open(2), waitid(2) with P_PIDFD).
package proc
