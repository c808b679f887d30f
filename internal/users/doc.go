// Package users keeps who may log in: users.toml, its passwords' hashes, and
// the edits that the command line makes.
//
//	[user.viola]
//	role = "operator"
//	password = "$argon2id$v=19$m=19456,t=2,p=1$…"
//	keys = ["ssh-ed25519 AAAA… viola"]
//
// Invariant: a file is taken as a whole or not at all. An unknown field, an
// unknown role, a broken key line, a hash that is none, or a mode other than
// 0600 refuses all of it with file and line; a [Store] that runs keeps the
// users it has. An edit is checked the same way before it replaces the file,
// and leaves every other line, comments too, as it was.
//
// Limits: the file is at most 1 MiB. Key lines have no options yet. A check of
// an argon2id password takes the memory that its hash asks for (19 MiB for
// those made by [Hash], at most 256 MiB), so whoever calls [Verify] for
// strangers must bound how many run at once.
package users
