package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/norestart/norestart/control"
)

// identityOf looks up the user that a pool runs as; nil is the user of the primary.
func identityOf(name, group string) (*control.Identity, error) {
	switch {
	case name == "" && group == "":
		return nil, nil
	case name == "":
		return nil, fmt.Errorf("group %s: name a user, too", group)
	case os.Geteuid() != 0:
		return nil, fmt.Errorf("user %s: only root may start workers as another user", name)
	}
	u, err := user.Lookup(name)
	if _, nan := strconv.ParseUint(name, 10, 32); err != nil && nan == nil {
		u, err = user.LookupId(name)
	}
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	as := &control.Identity{Name: u.Username, Home: u.HomeDir}
	if err := errors.Join(number(&as.UID, u.Uid), number(&as.GID, u.Gid)); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	return as, groupsOf(as, u, group)
}

// groupsOf fills in the groups: the one that was asked for, or all of the
// user's.
func groupsOf(as *control.Identity, u *user.User, group string) error {
	if group != "" {
		g, err := user.LookupGroup(group)
		if _, nan := strconv.ParseUint(group, 10, 32); err != nil && nan == nil {
			g, err = user.LookupGroupId(group)
		}
		if err != nil {
			return fmt.Errorf("group %s: %w", group, err)
		}
		return number(&as.GID, g.Gid)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return fmt.Errorf("groups of user %s: %w", u.Username, err)
	}
	as.Groups = make([]uint32, len(ids))
	for i, id := range ids {
		if err := number(&as.Groups[i], id); err != nil {
			return err
		}
	}
	return nil
}

func number(into *uint32, text string) error {
	n, err := strconv.ParseUint(text, 10, 32)
	*into = uint32(n)
	return err
}

// reachable refuses a run directory that the user as cannot reach: workers of
// that user would never find the primary.
func reachable(run string, as *control.Identity) error {
	for dir := run; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if !mayPass(info, as) {
			advice := "a cluster with users of its own needs the standard directories, without --dir"
			if dir != run {
				advice = "chmod a+x " + dir
			}
			return fmt.Errorf("user %s cannot enter %s (mode %04o): %s", as.Name, dir, info.Mode().Perm(), advice)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// mayPass reports whether a user may look up names in a directory
// (path_resolution(7)).
func mayPass(dir fs.FileInfo, as *control.Identity) bool {
	mode, of := dir.Mode().Perm(), ownerOf(dir)
	switch {
	case as.UID == 0:
		return true
	case of.uid == as.UID:
		return mode&0o100 != 0
	case of.gid == as.GID, slices.Contains(as.Groups, of.gid):
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}
