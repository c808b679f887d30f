// Package trim gives the memory of a burst of work back to the machine. The
// runtime keeps what a job or a rush of connections has touched, and gives it
// back slowly or never; the processes of a cluster do little for most of their
// life.
package trim
