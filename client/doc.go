// Package client speaks to the admin port of a cluster from elsewhere: one
// command ([Command]) or a session ([Terminal], [LineSession]), over ssh or over
// TLS.
//
// Invariant: a server is spoken to only after its key was compared with what
// was trusted before; a key that differs ends everything, and one that is new
// is trusted only by a person at a terminal. No command is sent twice by
// itself: when the connection breaks, the client says that the outcome of the
// command in hand is unknown. Only what looks (a followed log, events, a job)
// goes on by itself, where it broke, and what was not sent yet is sent.
//
//	login := client.SSH{Target: client.Target{User: "admin", Host: "shop.example", Port: "7777"}, KnownHosts: file}
//	command := client.Command{SSH: &login, Line: "worker info", Streams: client.Streams{Out: os.Stdout, Err: os.Stderr}, Notes: os.Stderr}
//	status, err := command.Run(ctx, func() {})
//
// Every wait for the server has a deadline or ends with the context; while a
// person is asked, the clock stands still.
//
// Limits: no forwarding, no agent forwarding, no host certificates, no
// ssh_config. Input can be waited for and given up only on Unix.
package client
