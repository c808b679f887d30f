//go:build unix

package dirs

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkOwner refuses a directory in which another user could replace our
// files. Root may work for others.
func checkOwner(dir string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if euid := os.Geteuid(); ok && euid != 0 && int(stat.Uid) != euid {
		return fmt.Errorf("%s: belongs to uid %d, must belong to uid %d", dir, stat.Uid, euid)
	}
	return nil
}
