// Package fault ends a primary at a chosen point, in builds that are made for
// that: the calls of package inject's list (fsync, rename, bind, fork, exec and
// so on) are wrapped by [Around] in a copy of the sources that only go build's
// -overlay sees. No package imports this one, and a test looks that no ordinary
// program contains it.
//
// A point is the moment before or after such a call, and is named by who makes
// it: the functions of this module on the stack, and the call. The directory
// that the environment names in FAULTS says what is to happen:
//
//	plan      while there is this file, each point that is passed is noted
//	passed    the points that were passed, a line each, in order
//
// A plan with the content "N POINT" ends the process by SIGKILL at the Nth time
// that the point is passed; an empty one ends nobody. Only the primary looks: a
// process with a role of its own passes all points unnoticed. What has been
// passed is counted in the file, so that it goes on over an exec in place.
package fault
