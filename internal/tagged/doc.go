// Package tagged finds processes by a variable in their environment, for
// harnesses that must end whatever they started and nothing else.
//
// Invariant: a process is killed only while its pid still means one with the
// variable; a number that was given to somebody else meanwhile is left alone.
//
//	left, err := tagged.All("WORK=" + dir)
//	…
//	tagged.Kill(left[0].PID, "WORK="+dir)
//
// Limits: Linux. Children that took an environment of their own are not found,
// nor are zombies, which have none.
package tagged
