// Package client talks to the admin port of a cluster: one command ([Command]) or
// a session ([Terminal], [LineSession]), over ssh or TLS.
//
// Invariant: the client talks to a server only after it has compared the server's
// key with the one it trusted before. A changed key ends everything; only a
// person at a terminal can trust a new one. The client never sends a command
// twice: if the connection breaks, it says that the outcome of the running
// command is unknown. It resumes commands that only look (a followed log, events,
// a job) where they broke, and sends what it had not sent yet.
//
//	login := client.SSH{Target: client.Target{User: "admin", Host: "shop.example", Port: "7777"}, KnownHosts: file}
//	command := client.Command{SSH: &login, Line: "worker info", Streams: client.Streams{Out: os.Stdout, Err: os.Stderr}, Notes: os.Stderr}
//	status, err := command.Run(ctx, func() {})
//
// Every wait for the server has a deadline or ends with the context. While a
// person is asked, the deadline is suspended.
//
// Limits: no forwarding, no agent forwarding, no host certificates, no
// ssh_config. A wait for input can be given up only on Unix.
package client
