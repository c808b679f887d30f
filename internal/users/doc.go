// Package users keeps the users that may log in: the file users.toml, the
// hashes of their passwords, and the edits of the command line.
//
//	[user.viola]
//	role = "operator"
//	password = "$argon2id$v=19$m=19456,t=2,p=1$…"
//	keys = ["ssh-ed25519 AAAA… viola"]
//
// Invariant: a file is accepted as a whole or not at all. An unknown field, an
// unknown role, a broken key line, an invalid hash or a mode other than 0600
// refuses it with file and line, and a running [Store] keeps its users. An edit
// is checked in the same way before it replaces the file, and leaves every
// other line, comments too, as it was.
//
// Limits: the file is at most 1 MiB. A key line may have the options from,
// command, expiry-time, restrict, pty and those that forbid forwarding; any
// other option of sshd(8) is an error ([ParseKey]). Checking an argon2id
// password takes the memory that its hash asks for (19 MiB for one of [Hash],
// at most 256 MiB), so the caller of [Verify] must bound the number of checks
// for clients that have not logged in.
package users
