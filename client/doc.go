// Package client speaks to the admin port of a cluster from elsewhere: one
// command ([SSH.Dial], [Conn.Exec]) or a session ([Session]), over ssh or over
// TLS.
//
// Invariant: a server is spoken to only after its key was compared with what
// was trusted before; a key that differs ends everything, and one that is new
// is trusted only by a person at a terminal. No command is sent twice by
// itself: when the connection breaks, the client connects again and says that
// the outcome of the command in hand is unknown. Only what looks (a followed
// log, events, a job) goes on by itself, where it broke.
//
//	login := client.SSH{Target: client.Target{User: "admin", Host: "shop.example", Port: "7777"}, KnownHosts: file}
//	conn, err := login.Dial(ctx)
//	…
//	status, err := conn.Exec(ctx, "worker info", client.Streams{Out: os.Stdout, Err: os.Stderr})
//
// Every wait for the server has a deadline or ends with the context; while a
// person is asked, the clock stands still.
//
// Limits: no forwarding, no agent forwarding, no host certificates, no
// ssh_config. Input can be waited for and given up only on Unix.
package client
