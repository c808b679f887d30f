package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// module is the path before our own packages; the root package is ".".
const module = "github.com/norestart/norestart"

// row is what one package of ours may import of ours, and why no more. A name
// that ends in "/..." means all below it; "*" means any.
type row struct {
	of  string
	may []string
	why string
}

// lattice is the import rule of docs/ARCHITECTURE.md. The first row that fits a
// package counts.
var lattice = []row{
	{".", []string{"control", "internal/app", "shell", "worker"}, "the root is what an application sees: what it is wired of is in internal/app"},
	{"internal/app", []string{"certs", "commands", "control", "primary", "shell", "worker", "internal/adminport", "internal/audit", "internal/builtin", "internal/commandline", "internal/entry", "internal/inherit", "internal/ipc", "internal/launch", "internal/proc", "internal/sandbox", "internal/sessions", "internal/shellworker", "internal/users"}, "the wiring knows the parts of a process, and neither the command norestart nor its clients"},
	{"cmd/...", []string{"*"}, ""},
	{"internal/bench", []string{"*"}, ""}, // a command: it measures the whole
	{"internal/chaos", []string{"*"}, ""}, // a command: it torments the whole
	{"internal/chaos/lossy", public, "the application that chaos finds fault with is one like any other"},
	{"internal/e2e/faulty", public, "the application of the transcripts is one like any other"},
	{"examples/...", public, "an example does only what a user of the library can do"},
	{"worker/workertest", append([]string{"internal/builtin", "internal/commandline", "internal/entry", "internal/harness", "internal/inherit", "internal/ipc"}, public...), "it plays the primary for a test, and knows neither that nor the admin port"},
	{"shell", []string{"commands"}, "shell is what an application says, and not what serves it"},
	{"internal/adminport", []string{"shell", "commands", "control", "internal/audit", "internal/builtin", "internal/commandline", "internal/sessions", "internal/trim", "internal/typeset", "internal/users"}, "keys and certificates come to the admin port in its Host, and it reaches the primary only by control.Control"},
	{"agent", []string{"worker", "commands", "control", "internal/ignore", "internal/sessions", "internal/shellworker"}, "the agent is a worker like any other"},
	{"internal/relay", []string{"worker", "internal/ipc", "internal/shellworker"}, "the relay is a worker like any other"},
	{"primary", []string{"control", "internal/difference", "internal/ipc", "internal/inherit", "internal/launch", "internal/notify", "internal/proc", "internal/seize", "internal/trim"}, "the primary stays small and dull: what can fail runs in a worker"},
	{"worker", []string{"control", "internal/entry", "internal/ipc", "internal/inherit", "internal/notify", "internal/shellworker", "worker/internal/handover", "worker/internal/mail"}, "a worker knows the primary only over IPC"},
	{"worker/internal/handover", []string{"internal/ipc"}, "connections end or are handed over whatever else the worker does"},
	{"worker/internal/mail", []string{"control", "internal/ipc"}, "messages are kept and answered whatever they travel on"},
	{"internal/shellworker", []string{"internal/ipc"}, "it is what package worker gives the shell's pool, and knows neither"},
	{"commands", []string{"control", "internal/flagset", "internal/typeset"}, "commands are what an application declares, and not what runs them"},
	{"internal/commandline", []string{"commands", "control", "internal/flagset", "internal/typeset"}, "a line is parsed and run in the same way whatever the commands are"},
	{"internal/builtin", []string{"commands", "control", "internal/commandline", "internal/sessions", "internal/typeset"}, "commands are built on control.Control alone, so that they run anywhere"},
	{"client", []string{"certs", "commands", "internal/commandline"}, "the client speaks to the admin port and to nothing else"},
	{"internal/ipc", []string{"control"}, "the wire carries the vocabulary and no behaviour"},
	{"internal/config", []string{"commands", "control", "shell", "internal/builtin", "internal/difference", "internal/ignore", "internal/inherit", "internal/tomldoc", "internal/typeset", "internal/users"}, "a configuration becomes a control.Spec and a shell.Config, and starts nothing"},
	{"internal/difference", []string{"control"}, "what differs is told of a control.Spec and of JSON"},
	{"internal/users", []string{"internal/tomldoc"}, "users.toml is read as every TOML file of ours"},
	{"control", nil, "the vocabulary depends on nothing"},
	{"certs", nil, "certs depends on nothing of ours"},
	{"internal/launch", []string{"internal/seize"}, "the launcher installs what a program must have before it begins"},
	{"internal/e2e", []string{"internal/harness"}, "a transcript knows the programs that it runs from outside alone"},
	{"internal/harness", []string{"internal/ipc", "internal/inherit"}, "the harness asks a cluster as norestart ctl does"},
	{"internal/doctor", []string{"internal/inherit"}, "the doctor tries what a pool does, and asks no cluster"},
	{"internal/...", nil, "an internal package depends on nothing of ours"},
}

var public = []string{".", "control", "worker", "commands", "shell", "client", "certs"}

// everywhere may be imported by all packages but those that show or help what
// users do.
var everywhere = []string{"internal/durable", "internal/dirs"}

// foreign are imports that only some of our packages may have.
var foreign = []row{
	{"golang.org/x/crypto/ssh/...", []string{"internal/adminport", "certs", "client", "internal/bench"}, "ssh stays in the packages that speak it"},
	{"github.com/gliderlabs/ssh/...", []string{"internal/adminport"}, "gliderlabs/ssh stays behind the filter of the admin port"},
	{"github.com/spf13/cobra/...", []string{"cmd/..."}, "cobra is for the command line of norestart"},
	{"github.com/fsnotify/fsnotify", []string{"agent"}, "files are watched in the agent, which no application links"},
	{"github.com/prometheus/...", []string{"agent"}, "metrics are made in the agent"},
	{"github.com/robfig/cron/...", []string{"internal/config"}, "schedules are read of the file; the primary is given what reads them"},
	{"worker/workertest", nil, "it is for tests"},
	{"internal/fault/...", nil, "only go build -overlay puts faults into a program"},
}

// forbidden are imports that no package that the primary consists of may have.
var forbidden = map[string]string{
	"crypto/tls": "the primary speaks no TLS",
	"net/http":   "the primary speaks to no network",
	"os/exec":    "children go through the one reaper: os/exec waits for them itself",
}

// unlinked are imports that no package may have which the program of an
// application consists of: it has no use for them.
var unlinked = []string{"github.com/prometheus/...", "github.com/spf13/cobra/...", "github.com/robfig/cron/...", "agent", "internal/relay"}

// burdens tells which of them there are.
func burdens(graph map[string][]string, root string) []string {
	var words []string
	for _, name := range reach(graph, root) {
		for _, to := range graph[name] {
			if slices.ContainsFunc(unlinked, func(p string) bool { return matches(p, to) }) {
				words = append(words, fmt.Sprintf("a program that imports %s links %s by %s", root, to, name))
			}
		}
	}
	return words
}

// refuse tells why the package from may not import to; empty: it may. Packages
// of ours are named from the root of the module.
func refuse(from, to string) string {
	for _, f := range foreign {
		if matches(f.of, to) && !slices.ContainsFunc(f.may, func(p string) bool { return matches(p, from) }) {
			return fmt.Sprintf("%s imports %s: %s", from, to, f.why)
		}
	}
	if !ours(to) {
		return ""
	}
	i := slices.IndexFunc(lattice, func(r row) bool { return matches(r.of, from) })
	switch {
	case i < 0:
		return fmt.Sprintf("%s stands in no row of the lattice: add one here and in docs/ARCHITECTURE.md", from)
	case slices.Contains(lattice[i].may, "*"), slices.Contains(lattice[i].may, to), path.Dir(from) == to && to != ".":
		return ""
	case slices.Contains(everywhere, to) && !slices.Equal(lattice[i].may, public):
		return ""
	}
	return fmt.Sprintf("%s imports %s: %s", from, to, lattice[i].why)
}

func matches(pattern, name string) bool {
	dir, all := strings.CutSuffix(pattern, "/...")
	return name == dir || all && strings.HasPrefix(name, dir+"/")
}

// ours reports whether an import is one of this module's, named from its root:
// the imports of others have a dot in their first element or are of the
// standard library, none of whose names we use.
func ours(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return name == "." || slices.Contains([]string{"agent", "certs", "client", "cmd", "commands", "control", "examples", "primary", "shell", "worker"}, first) ||
		first == "internal"
}

func TestRefuse(t *testing.T) {
	for _, tt := range []struct{ from, to, want string }{
		{"internal/app", "primary", ""},
		{".", "internal/app", ""},
		{".", "primary", ". imports primary: the root is what an application sees: what it is wired of is in internal/app"},
		{"cmd/norestart", "internal/ipc", ""},
		{"internal/adminport", "internal/users", ""},
		{"internal/adminport", "golang.org/x/crypto/ssh", ""},
		{"primary", "internal/durable", ""},
		{"internal/proc/proctest", "internal/proc", ""},
		{"examples/hello", "worker", ""},
		{"worker", "fmt", ""},
		{"primary", "shell", "primary imports shell: the primary stays small and dull: what can fail runs in a worker"},
		{"internal/adminport", "primary", "internal/adminport imports primary: keys and certificates come to the admin port in its Host, and it reaches the primary only by control.Control"},
		{"internal/adminport", "certs", "internal/adminport imports certs: keys and certificates come to the admin port in its Host, and it reaches the primary only by control.Control"},
		{"commands", "internal/ipc", "commands imports internal/ipc: commands are what an application declares, and not what runs them"},
		{"control", "commands", "control imports commands: the vocabulary depends on nothing"},
		{"internal/proc", "control", "internal/proc imports control: an internal package depends on nothing of ours"},
		{"internal/ipc", "internal/inherit", "internal/ipc imports internal/inherit: the wire carries the vocabulary and no behaviour"},
		{"examples/hello", "worker/workertest", "examples/hello imports worker/workertest: it is for tests"},
		{"cmd/norestart", "worker/workertest", "cmd/norestart imports worker/workertest: it is for tests"},
		{"worker/workertest", "primary", "worker/workertest imports primary: it plays the primary for a test, and knows neither that nor the admin port"},
		{"examples/hello", "internal/dirs", "examples/hello imports internal/dirs: an example does only what a user of the library can do"},
		{".", "internal/fault", ". imports internal/fault: only go build -overlay puts faults into a program"},
		{"examples/hello", "primary", "examples/hello imports primary: an example does only what a user of the library can do"},
		{"worker", "golang.org/x/crypto/ssh/agent", "worker imports golang.org/x/crypto/ssh/agent: ssh stays in the packages that speak it"},
		{".", "golang.org/x/crypto/ssh", ". imports golang.org/x/crypto/ssh: ssh stays in the packages that speak it"},
		{"certs", "github.com/gliderlabs/ssh", "certs imports github.com/gliderlabs/ssh: gliderlabs/ssh stays behind the filter of the admin port"},
		{"relay", "control", "relay stands in no row of the lattice: add one here and in docs/ARCHITECTURE.md"},
	} {
		if diff := cmp.Diff(tt.want, refuse(tt.from, tt.to)); diff != "" {
			t.Errorf("refuse(%q, %q) (-want +got):\n%s", tt.from, tt.to, diff)
		}
	}
}

// reach are the packages of ours that a package consists of, itself included.
func reach(graph map[string][]string, from string) []string {
	seen := map[string]bool{}
	var visit func(string)
	visit = func(name string) {
		if seen[name] || !ours(name) {
			return
		}
		seen[name] = true
		for _, to := range graph[name] {
			visit(to)
		}
	}
	visit(from)
	return slices.Sorted(maps.Keys(seen))
}

// unfit tells which forbidden imports a package consists of.
func unfit(graph map[string][]string, from string) []string {
	var words []string
	for _, name := range reach(graph, from) {
		for _, to := range graph[name] {
			if why := forbidden[to]; why != "" {
				words = append(words, fmt.Sprintf("%s consists of %s, which imports %s: %s", from, name, to, why))
			}
		}
	}
	return words
}

func TestUnfit(t *testing.T) {
	graph := map[string][]string{
		"primary":      {"control", "internal/ipc", "net"},
		"internal/ipc": {"control", "os/exec"},
		"control":      {"time"},
		"worker":       {"net/http"},
	}
	want := []string{"primary consists of internal/ipc, which imports os/exec: children go through the one reaper: os/exec waits for them itself"}
	if diff := cmp.Diff(want, unfit(graph, "primary")); diff != "" {
		t.Errorf("unfit (-want +got):\n%s", diff)
	}
}

// TestArrows holds the code against the lattice. It reads all files that are no
// tests, for every system, so that it needs no go command.
func TestArrows(t *testing.T) {
	graph := make(map[string][]string)
	for dir, files := range packages(t) {
		for _, f := range files {
			graph[dir] = append(graph[dir], imports(t, f.tree)...)
		}
		for _, to := range graph[dir] {
			if words := refuse(dir, to); words != "" {
				t.Error(words)
			}
		}
	}
	for _, name := range []string{"primary", "shell", "internal/ipc", "examples/hello"} {
		if len(graph[name]) == 0 {
			t.Errorf("found no imports of %s: does this test look at the right place?", name)
		}
	}
	for _, words := range append(unfit(graph, "primary"), burdens(graph, ".")...) {
		t.Error(words)
	}
	if len(burdens(graph, "cmd/norestart")) == 0 {
		t.Error("norestart itself has no command line: does this test look at the right place?")
	}
}

// TestPackageComments: each package says in its doc.go what it is; a command
// may do so in any file.
func TestPackageComments(t *testing.T) {
	for dir, files := range packages(t) {
		if words := undocumented(dir, files); words != "" {
			t.Error(words)
		}
	}
}

// undocumented tells what a package lacks; empty: nothing.
func undocumented(dir string, files []file) string {
	for _, f := range files {
		name := f.tree.Name.Name
		switch {
		case f.tree.Doc == nil:
		case name == "main":
			return ""
		case f.name == "doc.go" && strings.HasPrefix(f.tree.Doc.Text(), "Package "+name+" "):
			return ""
		}
	}
	return fmt.Sprintf("package %s: its doc.go must begin with a comment \"Package NAME …\"", dir)
}

func TestUndocumented(t *testing.T) {
	for _, tt := range []struct {
		name, file, source string
		missing            bool
	}{
		{"good", "doc.go", "// Package shop sells.\npackage shop", false},
		{"command", "main.go", "// Shop sells.\npackage main", false},
		{"elsewhere", "shop.go", "// Package shop sells.\npackage shop", true},
		{"detached", "doc.go", "// Package shop sells.\n\npackage shop", true},
		{"another name", "doc.go", "// Package stall sells.\npackage shop", true},
		{"silent command", "main.go", "package main", true},
	} {
		tree, err := parser.ParseFile(token.NewFileSet(), tt.file, tt.source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if got := undocumented("shop", []file{{tt.file, tree}}) != ""; got != tt.missing {
			t.Errorf("%s: missing = %v, want %v", tt.name, got, tt.missing)
		}
	}
}

type file struct {
	name string
	tree *ast.File
}

// packages parses all files of this module that are no tests, by
// directory.
func packages(t *testing.T) map[string][]file {
	t.Helper()
	found := make(map[string][]file)
	err := filepath.WalkDir(".", func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && p != "." && foreignDir(p, e.Name()):
			return fs.SkipDir
		case e.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go"):
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(p))
		found[dir] = append(found[dir], file{e.Name(), tree})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// foreignDir reports whether a directory holds no packages of this module.
func foreignDir(p, name string) bool {
	_, err := os.Stat(filepath.Join(p, "go.mod"))
	return err == nil || name == "testdata" || name[0] == '.' || name[0] == '_'
}

// imports names what a file imports, ours from the root of the module.
func imports(t *testing.T, f *ast.File) []string {
	t.Helper()
	var names []string
	for _, spec := range f.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if name == module {
			name = "."
		}
		names = append(names, strings.TrimPrefix(name, module+"/"))
	}
	return names
}
