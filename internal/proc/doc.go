// Package proc starts processes, tells how they ended and signals them.
//
// Invariant: a pid is used only while it cannot have been given to another
// process. A child is signalled and measured only until it is reaped, under
// the lock under which it is reaped, and each child is reaped in one place, by
// its own pid. A process that somebody else may reap is known by pid and start
// time together ([StartTime]).
//
// A process that an earlier image or an earlier primary started is adopted
// ([OS.Adopt]). If it is our child it is like any other. If not, its parent may
// reap it at any time, so it is signalled and watched only through a pidfd that
// was opened before its start time was checked: that one never comes to mean
// another. How it ended is known from Linux 6.15 on, once its parent has reaped
// it; [Exit] has a field for when it is not.
//
// Each child leads its own process group. When it ends, what is left of the
// group gets SIGKILL before the leader is reaped: only until then is the number
// of the group surely ours. A program that wants to outlive its worker must
// leave the group (setsid(2)). The group of a process that is not our child is
// ended through the pidfd, too, reaped or not, since Linux 6.9; before, only if
// its leader is not reaped yet, and else what is left of it is left alone.
//
// The real implementation of [Starter] and [Adopter] is [OS]; package proctest
// has a scripted one and the tests that both pass. A process costs one
// goroutine and one descriptor (its pidfd), no thread: os.Process.Wait and
// os/exec block a thread per child and turn shared sockets to blocking mode, so
// nothing here uses them, and nothing else in a process that uses [OS] should
// start children or wait for them.
//
// Linux only, from 5.4 on (pidfd_open(2), waitid(2) with P_PIDFD).
package proc
