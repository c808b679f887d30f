package importer

import (
	"errors"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.uber.org/goleak"

	"github.com/norestart/norestart/internal/config"
)

var update = flag.Bool("update", false, "write what is expected anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const wanted = "want.toml"

// unpack writes the files of an archive into shop/ and changes to it.
func unpack(t testing.TB, a *txtar.Archive) {
	t.Helper()
	for _, f := range a.Files {
		path := filepath.Join("shop", f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestImport reads the first file of each archive of testdata. What it becomes
// is in want.toml, and nothing is wrong with it but what this machine lacks.
func TestImport(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}
	for _, path := range archives {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { testImport(t, path) })
	}
}

func testImport(t *testing.T, path string) {
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("node"); err != nil && strings.HasSuffix(a.Files[0].Name, ".js") {
		t.Skip("install node to run")
	}
	t.Chdir(t.TempDir())
	t.Setenv("HOME", "/home/viola")
	unpack(t, a)
	got, err := Import(t.Context(), filepath.Join("shop", a.Files[0].Name))
	if err != nil {
		t.Fatal(err)
	}
	last := &a.Files[len(a.Files)-1]
	if *update {
		if last.Name != wanted {
			a.Files = append(a.Files, txtar.File{Name: wanted})
			last = &a.Files[len(a.Files)-1]
		}
		last.Data = []byte(got)
		if err := os.WriteFile(path, txtar.Format(a), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(string(last.Data), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	usable(t, got)
}

// lacking is what may be wrong on a machine that has not the programs, users,
// directories and files of variables that a file names.
var lacking = regexp.MustCompile(`: listen|command is missing|no such file or directory|no program|no user|no group|permission denied|` +
	`not a directory|is a directory|file name too long|invalid argument|\.env_file: `)

// usable fails if anything else is wrong with a configuration.
func usable(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join("shop", config.FileName)
	_, err := config.Parse(path, text)
	problems, _ := errors.AsType[config.Problems](err)
	if err != nil && problems == nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		variables := p.File != path // a line of an env_file of this machine
		if !variables && !lacking.MatchString(p.Text) {
			t.Errorf("%v\n%s", p, text)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	files := map[string]string{
		"compose.yaml":     "x",
		"Procfile":         "# nothing\n",
		"a.json":           `{"apps": [{"name": "x"}]}`,
		"b.json":           `{`,
		"supervisord.conf": "a=b\n",
		"c.conf":           "[unix_http_server]\nfile=/x\n",
		"d.service":        "[Service]\nUser=x\n",
	}
	want := map[string]string{
		"compose.yaml":     "shop/compose.yaml: unknown kind of file, want a Procfile, ecosystem.config.js or .json, supervisord.conf, or NAME.service",
		"Procfile":         "shop/Procfile: it starts no program",
		"a.json":           "shop/a.json: want applications with a script",
		"b.json":           "shop/b.json: unexpected end of JSON input",
		"supervisord.conf": "shop/supervisord.conf: line 1: want KEY=VALUE below a [SECTION]",
		"c.conf":           "shop/c.conf: it starts no program",
		"d.service":        "shop/d.service: it has no ExecStart",
		"gone.json":        "open shop/gone.json: no such file or directory",
	}
	a := &txtar.Archive{}
	for name, text := range files {
		a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(text)})
	}
	unpack(t, a)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	got := maps.Clone(want)
	for name := range want {
		_, err := Import(t.Context(), filepath.Join("shop", name))
		got[name] = ""
		if err != nil {
			got[name] = strings.ReplaceAll(err.Error(), here, "$DIR")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzImport: whatever a file says, what it becomes is a configuration.
func FuzzImport(f *testing.F) {
	names := []string{"Procfile", "a.json", "supervisord.conf", "api.service"}
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range archives {
		a, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for i, name := range names {
			if filepath.Ext(name) == filepath.Ext(a.Files[0].Name) {
				f.Add(uint8(i), string(a.Files[0].Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		if got, err := convert(t.Context(), filepath.Join("shop", names[int(kind)%len(names)]), text); err == nil {
			usable(t, got)
		}
	})
}
