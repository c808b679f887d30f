package ipc_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// protocolPage is the page that must name all that is on the wire.
const protocolPage = "../../docs/protocol.md"

// onTheWire are the prefixes of the constants whose values peers see.
var onTheWire = []string{"Type", "Purpose", "method"}

// wireNames are the words of the wire in Go source: the values of string
// constants with such a prefix, and the names of fields in bodies.
func wireNames(files ...*ast.File) []string {
	var names []string
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GenDecl:
				if n.Tok == token.CONST {
					names = append(names, constants(n)...)
				}
			case *ast.Field:
				if name := tagged(n); name != "" {
					names = append(names, name)
				}
			}
			return true
		})
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func constants(d *ast.GenDecl) []string {
	var values []string
	for _, spec := range d.Specs {
		v, ok := spec.(*ast.ValueSpec)
		if !ok {
			continue
		}
		for i, name := range v.Names {
			if i < len(v.Values) && slices.ContainsFunc(onTheWire, func(p string) bool { return strings.HasPrefix(name.Name, p) }) {
				values = append(values, literal(v.Values[i])...)
			}
		}
	}
	return values
}

// literal is the value of a string literal, if it is one.
func literal(e ast.Expr) []string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return nil
	}
	value, err := strconv.Unquote(lit.Value)
	if err != nil {
		return nil
	}
	return []string{value}
}

// tagged is the name of a field on the wire.
func tagged(f *ast.Field) string {
	if f.Tag == nil {
		return ""
	}
	tag, err := strconv.Unquote(f.Tag.Value)
	if err != nil {
		return ""
	}
	name, _, _ := strings.Cut(reflect.StructTag(tag).Get("cbor"), ",")
	return name
}

var (
	inCode    = regexp.MustCompile("`([a-z_]+)`")
	firstCell = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (?:caller|primary|worker|shell worker)[, ]")
)

// undocumented are the names that a page does not have in code style.
func undocumented(names []string, page string) []string {
	var missing []string
	for _, name := range names {
		if !slices.ContainsFunc(inCode.FindAllStringSubmatch(page, -1), func(m []string) bool { return m[1] == name }) {
			missing = append(missing, name)
		}
	}
	return missing
}

// unknown are the messages of a page's tables that no name stands for.
func unknown(names []string, page string) []string {
	var extra []string
	for _, m := range firstCell.FindAllStringSubmatch(page, -1) {
		if !slices.Contains(names, m[1]) {
			extra = append(extra, m[1])
		}
	}
	return extra
}

func TestProtocolIsDocumented(t *testing.T) {
	names := wireNames(sources(t)...)
	for _, want := range []string{"hello", "take", "follow_job", "lame_duck"} {
		if !slices.Contains(names, want) {
			t.Errorf("the source has no %q: does this test read it right?", want)
		}
	}
	page, err := os.ReadFile(protocolPage)
	if err != nil {
		t.Fatal(err)
	}
	if missing := undocumented(names, string(page)); len(missing) > 0 {
		t.Errorf("docs/protocol.md does not name %q", missing)
	}
	if extra := unknown(names, string(page)); len(extra) > 0 {
		t.Errorf("docs/protocol.md lists messages that are not sent: %q", extra)
	}
}

// sources are the files of this package that are no tests.
func sources(t *testing.T) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

func TestProtocolCheckCanFail(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "wire.go", `package wire
const (
	TypeJump = "jump"
	TypeSit  = "sit"
	Other    = "other"
)
const methodRun = "run"
type Purpose string
const PurposePlay Purpose = "play"
type Jump struct {
	Height int `+"`cbor:\"height,omitempty\"`"+`
	Note   string
}`, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := wireNames(f)
	if diff := cmp.Diff([]string{"height", "jump", "play", "run", "sit"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	page := "| `jump` | caller | `height` | up |\n| `roll` | primary | – | over |\nsit and `play`\n"
	if diff := cmp.Diff([]string{"run", "sit"}, undocumented(names, page)); diff != "" {
		t.Errorf("undocumented (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"roll"}, unknown(names, page)); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
}
