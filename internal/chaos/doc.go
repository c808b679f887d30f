// Chaos runs examples/hello under load and does to it at random what an
// operator, a broken machine and a bad day can do. It fails when a request is
// lost without an excuse.
//
//	go run ./internal/chaos -for 5m -seed 42
//
// Invariant: a request may fail only if this program killed the process that
// held its connection. It does not guess which process that is: before it kills
// a worker it stops the worker and asks the kernel for its connections
// (proc_pid_fd(5), proc_pid_net(5)). Clients never try again.
//
// All along it looks whether a ready slot stays ready unless something was done
// to it, whether incarnations and the numbers of generations are unique, whether
// commands end and those that nothing disturbed succeed, whether the primary
// answers, ends only by its hand, and stays within its memory and descriptors;
// at the end, whether anything is left of the cluster.
//
// The first thing that is wrong ends the run with status 1 and is shown with
// the last actions and the seed. The seed repeats the order of the actions, not
// the moments in which they meet the cluster.
//
// Limits: Linux, as the primary. Root may fill a disk of its own (tmpfs); for
// others that action is left out, and the summary says so. The system's clock
// is never touched: the wall clock of the cluster alone is stepped, by a build
// of examples/hello whose package time adds an offset that is read from a file.
package main
