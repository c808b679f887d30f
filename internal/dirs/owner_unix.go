//go:build unix

package dirs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// checkOwner refuses a directory in which another user could replace our files.
// Root may work for other users.
func checkOwner(dir string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if euid := os.Geteuid(); ok && euid != 0 && int(stat.Uid) != euid {
		return fmt.Errorf("%s: belongs to uid %d, must belong to uid %d", dir, stat.Uid, euid)
	}
	return nil
}

// Owner returns the owner of dir. For root it fails when yet another user could
// put a different directory in its place, and names that user.
func Owner(dir string) (uid, gid int, err error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return 0, 0, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return 0, 0, err
	}
	stat := info.Sys().(*syscall.Stat_t) // what os gives on unix
	if os.Geteuid() != 0 {
		return int(stat.Uid), int(stat.Gid), nil
	}
	for _, path := range []string{dir, real} {
		if err := checkWay(path, stat.Uid); err != nil {
			return 0, 0, err
		}
	}
	return int(stat.Uid), int(stat.Gid), nil
}

// checkWay refuses a path on which users other than root and owner may change a
// name.
func checkWay(path string, owner uint32) error {
	for ; ; path = filepath.Dir(path) {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		open := info.IsDir() && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0
		switch {
		case stat.Uid != 0 && stat.Uid != owner:
			return fmt.Errorf("%s: belongs to uid %d, who could make root write elsewhere", path, stat.Uid)
		case open:
			return fmt.Errorf("%s: anybody may write to it and could make root write elsewhere: chmod o-w %s", path, path)
		}
		if path == filepath.Dir(path) {
			return nil
		}
	}
}

// CheckOwn refuses a directory in which root's primary would run a program that
// another user chose: the record of a cluster names programs.
func CheckOwn(dir string) error {
	uid, _, err := Owner(dir)
	if err == nil && uid != os.Geteuid() {
		err = fmt.Errorf("%s: belongs to uid %d, must belong to uid %d: chown it, or start as that user", dir, uid, os.Geteuid())
	}
	return err
}

// CheckTrusted refuses, for root, a file that says what root runs if anybody but
// root, and the user who became root by sudo(8), could change it or put another in
// its place.
func CheckTrusted(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	invoker, err := strconv.ParseUint(os.Getenv("SUDO_UID"), 10, 32)
	if err != nil {
		invoker = 0
	}
	for _, way := range []string{real, filepath.Dir(path)} {
		for ; ; way = filepath.Dir(way) {
			info, err := os.Stat(way)
			if err == nil {
				stat := info.Sys().(*syscall.Stat_t)
				err = distrust(way, info.Mode(), stat.Uid, stat.Gid, uint32(invoker))
			}
			if err != nil {
				return err
			}
			if way == filepath.Dir(way) {
				break
			}
		}
	}
	return nil
}

// distrust names the users, besides root and the invoker, that may change a file or
// the names in a directory. In a sticky directory only the owner of a file may.
func distrust(path string, mode fs.FileMode, uid, gid, invoker uint32) error {
	const could = "and could make root run anything"
	sticky := mode.IsDir() && mode&fs.ModeSticky != 0
	switch {
	case uid != 0 && uid != invoker:
		return fmt.Errorf("%s: it belongs to uid %d, who may change it %s: chown root %s", path, uid, could, path)
	case mode.Perm()&0o002 != 0 && !sticky:
		return fmt.Errorf("%s: anybody may write to it %s: chmod go-w %s", path, could, path)
	case mode.Perm()&0o020 != 0 && gid != 0 && !sticky:
		return fmt.Errorf("%s: group %d may write to it %s: chmod g-w %s", path, gid, could, path)
	}
	return nil
}
