// Package config reads norestart.toml, the file of a cluster that runs programs,
// and makes a [control.Spec] and a [shell.Config] of it.
//
//	file, err := config.Load("norestart.toml")
//	spec := file.Spec()
//
// Invariant: a file is accepted as a whole or not at all, and a refusal names
// all that is wrong, each with its line and what would be right ([Problems]).
// What [Load] returns is complete: command, environment with the contents of
// its files, directory. So a generation is what one Load returned, and two
// generations differ as [Diff] tells.
//
// Each key is a field of [File] or of a table in it ([Pool], [Shell], [Command] and
// so on) with its tag and its comment: docs/config.md and contrib/norestart.schema.json are made of
// them. The keys that the tag "later" of a table names are checked and then refused
// as not supported yet.
//
// Limits: a file is at most 1 MiB. An error of TOML syntax hides what is wrong
// behind it.
package config
