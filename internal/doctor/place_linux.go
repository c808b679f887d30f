package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	leastSpace = 64 << 20 // the audit log alone may have more
	// longestDir leaves room for NAME~ of the socket that programs notify
	// (unix(7): 108 bytes).
	longestDir = 94
)

func (d *doctor) directories() {
	run, state := d.cluster.Dirs.Run, d.cluster.Dirs.State
	if state == "" {
		return
	}
	d.directory("state directory", state, 0o700)
	if run != state {
		d.directory("run directory", run, 0o711)
	}
	if len(run) > longestDir {
		d.bites("run directory", fmt.Sprintf("%s: %d bytes are too long for a socket in it", run, len(run)), "use a shorter one, with --dir")
	}
	d.space(state)
	d.linger(run)
}

func (d *doctor) directory(about, dir string, mode fs.FileMode) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		d.mayWrite(about, dir)
		return
	}
	switch {
	case err != nil:
		d.bites(about, err.Error(), "let this user reach it")
	case !info.IsDir():
		d.bites(about, dir+" is no directory", "move it away")
	case info.Mode().Perm()&^mode != 0:
		d.bites(about, fmt.Sprintf("%s: mode %04o, must be %04o", dir, info.Mode().Perm(), mode), fmt.Sprintf("chmod %o %s", mode, dir))
	case unix.Access(dir, unix.W_OK) != nil:
		d.bites(about, dir+": this user may not write to it", "start as its owner, or chown it")
	default:
		d.well(about, "%s", dir)
	}
}

// mayWrite looks at a path that is to be made.
func (d *doctor) mayWrite(about, path string) {
	above := filepath.Dir(path)
	for above != "/" {
		if _, err := os.Lstat(above); err == nil {
			break
		}
		above = filepath.Dir(above)
	}
	if err := unix.Access(above, unix.W_OK|unix.X_OK); err != nil {
		d.bites(about, fmt.Sprintf("%s cannot be made: %s: %v", path, above, err), "let this user write to "+above+", or name another place")
		return
	}
	d.well(about, "%s is made at the first start", path)
}

func (d *doctor) space(dir string) {
	for dir != "/" {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return
	}
	if free := s.Bavail * uint64(s.Bsize); free < leastSpace {
		d.bites("disk", fmt.Sprintf("%s has %d MiB left", dir, free>>20), "make room: the audit log and the record of the cluster are written there")
		return
	}
	if s.Files > 0 && s.Ffree < 100 {
		d.bites("disk", dir+" has no inodes left", "remove files")
	}
}

// linger looks whether logind removes the run directory when its user logs out.
func (d *doctor) linger(run string) {
	uid, inRuntime := strings.CutPrefix(run, "/run/user/")
	if !inRuntime {
		return
	}
	uid, _, _ = strings.Cut(uid, "/")
	me := os.Getenv("USER")
	if _, err := os.Stat("/var/lib/systemd/linger/" + me); me == "" || err != nil && uid == strconv.Itoa(os.Getuid()) {
		d.bites("run directory", run+" is removed when this user logs out, and processes with it", "loginctl enable-linger")
	}
}
