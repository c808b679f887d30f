package primary

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/proc"
)

// program is how a generation is executed, besides the file.
type program struct {
	argv []string
	env  []string
	dir  string
}

// program is what the workers of a pool would execute now, with the path of its
// file. Symbolic links in the path of a script and in a directory are resolved,
// because a link such as "current" may change while the generation is in use.
func (cfg Config) program(spec control.PoolSpec) (path string, p program, err error) {
	if spec.Program == nil {
		return cfg.Binary, program{cfg.Argv, cfg.Env, cfg.Dir}, nil
	}
	p = program{spec.Program.Command, spec.Program.Env, spec.Program.Dir}
	if p.dir, err = filepath.EvalSymlinks(p.dir); err != nil {
		return "", p, fmt.Errorf("working directory: %w", err)
	}
	path, err = lookUp(*spec.Program, p.dir)
	return path, p, err
}

// lookUp finds the file of a command as execvp(3) does.
func lookUp(p control.Program, dir string) (string, error) {
	if len(p.Command) == 0 {
		return "", errors.New("no program")
	}
	name := p.Command[0]
	if filepath.IsAbs(name) {
		return name, nil
	}
	if strings.Contains(name, "/") {
		return filepath.Join(dir, name), nil
	}
	for _, v := range slices.Backward(p.Env) {
		list, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, in := range filepath.SplitList(list) {
			path := filepath.Join(in, name)
			if st, err := os.Stat(path); filepath.IsAbs(in) && err == nil && st.Mode().IsRegular() && unix.Access(path, unix.X_OK) == nil {
				return path, nil
			}
		}
		break
	}
	return "", fmt.Errorf("%s is in no directory of the PATH of its environment: name it by its path", quoted(name))
}

// generation is what is on disk now: the path is resolved anew, so a link such as
// "current" may have changed.
func (cfg Config) generation(spec control.PoolSpec) (*generation, error) {
	return cfg.pinned(spec, proc.Pin)
}

// pinned is a generation whose file is opened by pin.
func (cfg Config) pinned(spec control.PoolSpec, pin func(path string) (*proc.Binary, error)) (*generation, error) {
	path, program, err := cfg.program(spec)
	if err != nil {
		return nil, err
	}
	b, err := pin(path)
	if err == nil && spec.Program != nil && isScript(b) {
		_ = b.Close() // once more, by the path that lasts
		if path, err = filepath.EvalSymlinks(path); err == nil {
			b, err = pin(path)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := b.Check(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return &generation{binary: b, program: program, script: isScript(b), since: time.Now()}, nil
}

// isScript reports whether the kernel starts an interpreter with the path of the
// file (execve(2)).
func isScript(b *proc.Binary) bool {
	f, err := os.Open(procFD(b.FD()))
	if err != nil {
		return false
	}
	defer f.Close()
	begin := make([]byte, 2)
	_, err = f.ReadAt(begin, 0)
	return err == nil && string(begin) == "#!"
}

func (g *generation) execPath() string {
	if g.script {
		return g.binary.Path()
	}
	return g.binary.ExecPath()
}
