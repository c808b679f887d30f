// Package importer reads the configurations of other process managers and
// writes the nearest norestart.toml.
//
//	text, err := importer.Import(ctx, "ecosystem.config.js")
//
// It knows the Procfile of foreman, the ecosystem file of PM2, supervisord.conf
// and a systemd .service. Invariant: nothing is dropped in silence. What has no
// counterpart is a comment in the table of its pool, with the reason or what to
// do instead.
//
// Limits: what only the other manager knows at run time is not expanded, such
// as %i of systemd. An ecosystem file that is JavaScript is executed by node,
// as PM2 does.
package importer
