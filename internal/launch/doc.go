// Package launch is the stage between the primary's fork and a program's exec. It
// sets what a parent written in Go cannot set for its child.
//
// The primary starts its own binary in the role launch ([New]), with the plan in
// a sealed memfd. [Run], in the child, carries the plan out and replaces itself
// by the program, so that pid, process group, descriptors and pidfd stay the
// same.
//
// Invariant: the program starts with exactly what the plan says, or not at all.
// Ignored signals and the signal mask are reset, no other descriptor is open, and
// no variable of the primary is left. If a step fails, the launcher names it in
// one line on standard error and exits with [ExitCode].
//
// The order of the steps is fixed, because each takes away what the ones before
// it need: descriptors, hard limits that only a privileged process can raise,
// nice, groups, gid, uid, directory, no_new_privs, the filter of package seize,
// umask, limits, signals, exec. Limits come late because the launcher itself could
// exceed them.
//
// Limits: numeric users and groups only (the caller looks up names), no
// capabilities, no namespaces. Linux only.
package launch
