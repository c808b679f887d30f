// Package adminport serves the admin port: one listener on which operators log in
// with plain ssh, or with a TLS line shell, and run commands. A shell worker has
// one [Server].
//
// Invariant: a command runs only for a user who has proved an identity on this
// connection. The identity comes from
// [golang.org/x/crypto/ssh.ServerConn.Permissions] alone (or from the password or
// certificate of the TLS line shell, or from the local socket); it is looked up
// again before each command. A command is on the audit log, or counted there, before
// it runs; if the log cannot be written, what needs an admin is refused, but for
// root at the local socket.
// Input is bounded in size and in time, before login and after it.
//
//	accept ── limits.go ── sniff.go ─┬─ ssh: login.go ── channel.go ─┬─ terminal.go: a prompt
//	                                 │                               └─ script.go: one command, or lines
//	                                 └─ TLS: tls.go: a prompt without a terminal
//	norestart ctl ── local.go
//	all of them ── session.go ── run.go: one command ── commandline.Registry
//
// The connections of ssh are those of gliderlabs/ssh, behind a filter (login.go):
// none of its handlers for passwords and keys is used. Sessions are our own
// (channel.go): it does not parse commands, window sizes and signals.
//
// Limits: no forwarding, agent, X11, subsystem or file transfer, ever. Joined
// emoji are shown in their parts (glyphs.go). Failed logins count against their
// source, never against a user name.
package adminport
