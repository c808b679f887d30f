// Package proc starts processes, signals them and reports how they ended.
//
// Invariant: a pid is used only while it cannot have been given to another
// process. A child is signalled and measured only until it is reaped, under the
// same lock as the reaping, and each child is reaped in one place, by its own
// pid. A process that another one may reap is known by pid and start time
// together ([StartTime]).
//
// A process that an earlier image or an earlier primary started is adopted
// ([OS.Adopt]). If it is our child it is like any other. If not, its parent may
// reap it at any time, so it is signalled and watched only through a pidfd,
// which never comes to mean another process and is opened before the start time
// is checked. How it ended is known from Linux 6.15 on, once its parent has
// reaped it; otherwise [Exit.Unknown] is set.
//
// Each child leads its own process group. When it ends, the rest of the group
// gets SIGKILL before the leader is reaped: until then the number of the group
// is surely ours. The group of a process that is not our child is killed
// through the pidfd, reaped or not, since Linux 6.9; before that only if its
// leader is not reaped yet, and otherwise left alone. Processes that have left
// the group (setsid(2)) are known by their parents and sessions
// ([OS.Descendants]) or by a control group ([Cgroup]), and [OS.End] ends them.
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
