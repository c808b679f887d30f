// Package shell is the admin port: one listener on which operators log in
// with plain ssh, or with a TLS line shell, and run commands.
//
// Invariant: nothing runs in the name of somebody who has not proved who he
// is on this very connection. The identity comes from
// [golang.org/x/crypto/ssh.ServerConn.Permissions] alone (or from the
// password typed into the TLS line shell, or from the local socket), it is
// looked up again before each command, and each command is written to the
// audit log before it runs. Whatever a peer sends is bounded in size and in
// time, before login and after it.
//
//	srv, err := shell.New(cfg, host)
//	err = srv.Serve(ctx, ln, draining)
//
// The connections of ssh are those of gliderlabs/ssh, behind a filter (login.go):
// none of its handlers for passwords and keys is used. Sessions are our own
// (channel.go): commands, window sizes and signals are not parsed by it.
//
// Limits: no forwarding, agent, X11, subsystem or file transfer, ever. The
// line editor counts columns in runes, so wide characters shift the cursor.
// Failed logins are held against their source, never against a user name.
package shell
