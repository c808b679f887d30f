// Package harness is what the transcripts, the fault injection, chaos and the
// benchmarks have in common: programs that are started and ended, what the
// kernel knows of their processes, and clients that never retry a request.
//
// Invariant: a process is killed only while its pid still means one that carries
// the harness's variable in its environment; a number that the kernel has given
// to another process meanwhile is left alone.
//
//	clients := harness.Load{Address: web, Clients: 4, Rate: 100, Keep: true}.Start(ctx)
//	…
//	fmt.Println(clients.Stop().Failed)
//
// Limits: Linux, as the primary.
package harness
