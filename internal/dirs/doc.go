// Package dirs says where a cluster keeps its files: sockets in the run directory
// (internal/ipc has their names), keys, users and everything that lasts in the
// state directory.
//
// Invariant: a state directory that this package gives out for a cluster to
// start in has no permissions for group or others. A run directory has at most
// 0711, so that others reach only the sockets that are opened to them.
//
// Root's clusters are in /run/norestart/NAME and /var/lib/norestart/NAME, those
// of others in $XDG_RUNTIME_DIR/norestart/NAME and $XDG_STATE_HOME/norestart/NAME
// (~/.local/state without it). A directory that is named by hand is both.
//
// Limits: it does not tell whether a cluster runs.
package dirs
