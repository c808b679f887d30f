// Package fault kills a primary at a chosen point, and switches off what protects a
// cluster, in builds that are made for it. They have a copy of the sources that only
// go build's -overlay sees. No package imports this one, and a test checks that no
// ordinary program contains it.
//
// [Around] wraps the calls in package inject's list (fsync, rename, bind, fork, exec
// and so on).
// A point is the moment before or after such a call. Its name is the functions
// of this module on the stack, and the call. The environment variable FAULTS
// names a directory that says what is to happen:
//
//	plan      while there is this file, each point that is passed is noted
//	passed    the points that were passed, a line each, in order
//
// A plan with the content "N POINT" kills the process by SIGKILL when it passes
// the point for the Nth time; an empty plan kills nothing. Only the primary
// looks: a process with a role passes all points unnoticed. The file counts the
// passed points, so the count goes on over an exec in place.
//
// [On] and [Each] are what a test writes into the sources, by inject.Rewrite. The
// environment variable FAULTS_ON names what is switched on.
package fault
