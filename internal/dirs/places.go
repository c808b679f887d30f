package dirs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// product is the directory that holds those of all clusters.
const product = "norestart"

// places are the parent directories of all clusters of a user. One that the
// environment does not name is empty, which is an error only when no directory
// was given.
type places struct{ run, state string }

func system() places { return placesOf(os.Geteuid(), os.Getenv) }

func placesOf(euid int, getenv func(string) string) places {
	if euid == 0 {
		return places{run: "/run/" + product, state: "/var/lib/" + product}
	}
	var p places
	if run := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) {
		p.run = filepath.Join(run, product)
	}
	// A relative path in these variables must be ignored (XDG Base Directory
	// Specification).
	if state := getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		p.state = filepath.Join(state, product)
	} else if home := getenv("HOME"); filepath.IsAbs(home) {
		p.state = filepath.Join(home, ".local", "state", product)
	}
	return p
}

// of returns the directories of one cluster.
func (p places) of(name string) (Dirs, error) {
	switch {
	case p.run == "":
		return Dirs{}, errors.New("XDG_RUNTIME_DIR is not set: set it, or name a directory with --dir DIR")
	case p.state == "":
		return Dirs{}, errors.New("neither XDG_STATE_HOME nor HOME is set: name a directory with --dir DIR")
	}
	return Dirs{Run: filepath.Join(p.run, name), State: filepath.Join(p.state, name)}, nil
}

// CheckName reports why name cannot be the name of a cluster, which is also the
// name of its directories.
func CheckName(name string) error {
	ok := name != "" && len(name) <= 63
	for i, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case i > 0 && (r == '-' || r == '_' || r == '.'):
		default:
			ok = false
		}
	}
	if !ok {
		return fmt.Errorf("name of a cluster %q: must be at most 63 of a-z A-Z 0-9 - _ . and begin with a letter or digit", name)
	}
	return nil
}
