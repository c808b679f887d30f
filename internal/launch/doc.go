// Package launch is the stage between the primary's fork and a program's exec:
// it sets what a parent written in Go cannot set for its child.
//
// The primary starts its own binary in the role launch ([New]), with the plan
// in a sealed memfd. [Run], in the child, carries the plan out and replaces
// itself by the program, so that pid, process group, descriptors and pidfd stay
// the same.
//
// Invariant: the program starts with exactly what the plan says. Ignored
// signals and the signal mask are reset, no descriptor beyond the plan's is
// open, the environment is the plan's; and when any step fails the program does
// not start at all: the launcher says which step in one line on standard error
// and exits with [ExitCode].
//
// The order of the steps, each of which needs that of the ones before it:
// descriptors, umask, hard limits that only a privileged process can raise,
// groups, gid, uid, directory, no_new_privs, limits, signals, exec. Limits come
// last since the launcher itself could die of them.
//
// Limits: numeric users and groups only (names are the caller's to look up),
// no capabilities, no namespaces. Linux only.
package launch
