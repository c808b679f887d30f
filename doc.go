// Package norestart runs an application that never has to be stopped: not to
// scale it, not to replace its code, and not because one of its processes was
// killed.
//
// Invariant: one binary plays all roles. The process that an operator starts
// becomes the primary; it starts the same binary again for every worker and
// for the admin port, which is a worker of its own.
//
//	func main() {
//		norestart.Main(norestart.App{
//			Name:  "hello",
//			Pools: []norestart.Pool{{Name: "web", Workers: 4, Listen: []string{"tcp://127.0.0.1:8080"}, Run: serve}},
//			Shell: &shell.Config{Port: 7777},
//		})
//	}
//
// Limits: the primary runs on Linux 5.10 or newer.
package norestart
