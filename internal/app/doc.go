// Package app wires an application together: it gives each process of a cluster
// its role, and the things that the role needs.
//
// Invariant: every process of a cluster enters by [Run] with the same [App]; only
// the environment tells its role. The primary is led by lead.go, a worker runs
// its pool's Run or, in the shell's pool, shell.go; prepare.go is a process of
// its own that ends before the admin port opens.
package app
