// Package agent is what the built-in pool agent does for clusters of other
// programs: what those cannot do for themselves, and what the primary should not
// do. It keeps their sockets, as a worker of an application keeps those of its
// own pool, and hears what they say while there is no primary; it asks programs by
// probes; it serves metrics; it tells hooks of events; it runs the commands of the
// file; it writes log files; it reloads when files change.
//
// Invariant: the agent is a worker like any other, replaced without loss and
// adopted. What it knows it has asked by [control.Control], and what it finds the
// primary judges, so that one that dies or hangs costs its own work. Two things
// wait for it: a worker that is ready by probe becomes ready when there is an agent
// again, and the next primary gets the sockets of programs from it.
package agent
