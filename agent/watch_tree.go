package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ignore"
)

// tree is what is watched: each path, so that one that is swapped is followed, and
// the directories below it.
type tree struct {
	notify  *fsnotify.Watcher
	roots   []string
	apart   []string // is not watched, nor what is below
	exclude ignore.Patterns
	dirs    map[string]bool // that are watched
	full    bool            // the limit was reached, and told
}

func newTree(notify *fsnotify.Watcher, what Watch, apart []string) *tree {
	all, _ := ignore.Parse(append(slices.Clone(ignore.Defaults), what.Exclude...)...) // what is none was refused
	return &tree{notify: notify, roots: what.Paths, apart: apart, exclude: all, dirs: make(map[string]bool)}
}

// scan watches all that is there. What is watched already stays so.
func (t *tree) scan() {
	for _, root := range t.roots {
		t.watch(filepath.Dir(root))
		t.below(root)
	}
}

// below watches a directory and those in it. The root may be a symbolic link; those
// in it are not followed.
func (t *tree) below(dir string) {
	_ = filepath.WalkDir(dir+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() { // it has just gone, or is a file
			return nil
		}
		path = filepath.Clean(path)
		if !t.wants(path, true) {
			return fs.SkipDir
		}
		if t.watch(path) {
			t.dirs[path] = true
		}
		return nil
	})
}

// forget watches a path no more: what was there has another name, or is another
// one's.
func (t *tree) forget(path string) {
	if !t.dirs[path] {
		return
	}
	for dir := range t.dirs {
		if dir == path || strings.HasPrefix(dir, path+"/") {
			_ = t.notify.Remove(dir) // it has gone
			delete(t.dirs, dir)
		}
	}
}

// wants reports whether changes of a path matter.
func (t *tree) wants(path string, dir bool) bool {
	if slices.ContainsFunc(t.apart, func(o string) bool { return path == o || strings.HasPrefix(path, o+"/") }) {
		return false
	}
	return slices.ContainsFunc(t.roots, func(root string) bool {
		name, in := strings.CutPrefix(path, strings.TrimSuffix(root, "/")+"/")
		return path == root || in && !t.exclude.Exclude(name, dir)
	})
}

func (t *tree) watch(dir string) bool {
	err := t.notify.Add(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !t.full {
		t.full = errors.Is(err, unix.ENOSPC)
		warn("watch: %s: %v", dir, limit(err))
	}
	return err == nil
}

// limit says which limit was reached.
func limit(err error) error {
	for errno, name := range map[unix.Errno]string{unix.ENOSPC: "max_user_watches", unix.EMFILE: "max_user_instances"} {
		if errors.Is(err, errno) {
			now, _ := os.ReadFile("/proc/sys/fs/inotify/" + name) // without it the line says less
			return fmt.Errorf("the limit of the kernel is reached, changes there are not seen: exclude directories, or raise it, as root, by sysctl fs.inotify.%s=N; it is %s", name, strings.TrimSpace(string(now)))
		}
	}
	return err
}

// changed is the path of an event that matters; empty: it does not. A directory
// that is new is watched from now on.
func (t *tree) changed(e fsnotify.Event) string {
	if e.Op&^fsnotify.Chmod == 0 {
		return ""
	}
	info, err := os.Stat(e.Name)
	dir := err == nil && info.IsDir()
	if !t.wants(e.Name, dir) {
		return ""
	}
	if e.Has(fsnotify.Create | fsnotify.Rename | fsnotify.Remove) {
		t.forget(e.Name)
	}
	if dir {
		t.below(e.Name)
	}
	return e.Name
}
