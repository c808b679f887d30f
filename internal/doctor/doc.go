// Package doctor looks at a machine as a cluster that is to run there would, and
// says what would bite and how to mend it.
//
// Invariant: it changes nothing, but that an address which is looked at is
// listened on for a moment, without accepting.
//
// Limits: Linux only. What holds for this process is what it says: a unit of
// systemd may have other limits, another user and another network.
package doctor
