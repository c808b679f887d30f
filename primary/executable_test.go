package primary

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/norestart/norestart/control"
)

// release installs a program and lets "current" point to it.
func release(t *testing.T, dir, version, text string) (path string) {
	t.Helper()
	path = filepath.Join(dir, version, "app")
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o700))
	link := filepath.Join(dir, "current")
	must(t, os.Symlink(version, link+".new"))
	must(t, os.Rename(link+".new", link))
	return path
}

// TestProgramOfAPool: "current" is followed by a reload, and not before; a
// script is executed by the path that it resolved to.
func TestProgramOfAPool(t *testing.T) {
	dir := t.TempDir()
	first := release(t, dir, "1", "#!/bin/sh\n")
	spec := quick("web", 1)
	spec.Program = &control.Program{Command: []string{"./app", "--serve"}, Dir: filepath.Join(dir, "current"), Env: []string{"A=b"}}
	c := start(t, spec)
	executed := func() (paths []string) {
		for _, p := range c.script.Running() {
			if cmd := p.Command; cmd.Dir != filepath.Dir(cmd.Path) || !slices.Contains(cmd.Env, "A=b") || cmd.Argv[1] != "--serve" {
				t.Errorf("executed %+v", cmd)
			}
			paths = append(paths, p.Command.Path)
		}
		slices.Sort(paths)
		return slices.Compact(paths)
	}
	second := release(t, dir, "2", "#!/bin/sh\n# new\n")
	st, err := control.Get(c.context(), c.ctl, control.StatusQuery{})
	must(t, err)
	if got := strings.Join(st.Pools[0].Differs, " "); got != "binary directory" {
		t.Errorf("differs: %q", got)
	}
	_, err = c.ctl.Do(c.context(), control.ScaleRequest{Pool: "web", To: 2}, func(control.JobEvent) error { return nil })
	must(t, err)
	if got := executed(); !slices.Equal(got, []string{first}) {
		t.Errorf("before the reload: %q", got)
	}
	_, err = c.ctl.Do(c.context(), control.ReloadRequest{}, func(control.JobEvent) error { return nil })
	must(t, err)
	if got := executed(); !slices.Equal(got, []string{second}) {
		t.Errorf("after the reload: %q", got)
	}
	all, err := control.Get(c.context(), c.ctl, control.GenerationsQuery{})
	must(t, err)
	if g := all[len(all)-1]; g.Path != second || g.Kept != control.KeptDirectory {
		t.Errorf("generation: %+v", g)
	}
}

func TestLookUp(t *testing.T) {
	dir := t.TempDir()
	tool := release(t, dir, "bin", "#!/bin/sh\n")
	must(t, os.WriteFile(filepath.Join(dir, "app"), nil, 0o600)) // not executable
	for name, test := range map[string]struct {
		command, path, want string
	}{
		"absolute":                {tool, "", tool},
		"relative":                {"bin/app", "", tool},
		"by name":                 {"app", "/nowhere:" + dir + ":" + filepath.Dir(tool), tool},
		"not there":               {"app", "/nowhere", ""},
		"in a relative directory": {"app", "bin", ""},
		"nothing":                 {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := control.Program{Command: strings.Fields(test.command), Env: []string{"PATH=/first", "PATH=" + test.path}}
			if got, err := lookUp(p, dir); got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// TestScriptOnRecord: what lasts of a script is its path, whatever was written
// there; a copy elsewhere would not find what is beside it.
func TestScriptOnRecord(t *testing.T) {
	dir := t.TempDir()
	path := release(t, dir, "1", "#!/bin/sh\n")
	g := generationRecord{Path: path, Kept: release(t, dir, "2", "#!/bin/sh\n"), Script: true}
	b, err := (&pool{}).findBinary(g)
	must(t, err)
	must(t, b.Close())
	must(t, os.Remove(path))
	if _, err := (&pool{}).findBinary(g); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("found without its path: %v", err)
	}
}
