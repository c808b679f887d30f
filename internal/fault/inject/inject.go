package inject

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// functions are the calls that are wrapped, and values that are such functions,
// by import.
var functions = map[string][]string{
	"os":                    {"Rename", "Link", "Remove", "Mkdir", "MkdirAll", "WriteFile", "CreateTemp"},
	"syscall":               {"Exec", "ForkExec"},
	"golang.org/x/sys/unix": {"Bind", "Listen", "Linkat", "Unlinkat", "Renameat", "MemfdCreate", "Flock", "Kill", "PidfdSendSignal", "SetsockoptSockFprog"},
}

// methods are wrapped whatever they belong to.
var methods = []string{"Sync", "Truncate", "WriteAt", "WriteMsgUnix"}

const runtimePackage = "github.com/norestart/norestart/internal/fault"

// Overlay writes changed copies of the packages dirs of the module at root into
// out, and the file for go build -overlay, whose name it returns.
func Overlay(root, out string, dirs ...string) (string, error) {
	replace := make(map[string]string)
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil {
			return "", err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			copied := filepath.Join(out, strings.ReplaceAll(dir, "/", "-")+"-"+filepath.Base(file))
			changed, err := instrument(file, copied)
			if err != nil {
				return "", err
			}
			if changed {
				replace[file] = copied
			}
		}
	}
	if len(replace) == 0 {
		return "", fmt.Errorf("found no call to wrap in %q of %s", dirs, root)
	}
	return overlay(out, replace)
}

// overlay writes the file for go build -overlay.
func overlay(out string, replace map[string]string) (string, error) {
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(out, "overlay.json")
	return name, os.WriteFile(name, text, 0o600)
}

// instrument writes a copy of a file with its calls wrapped, if it has any.
func instrument(file, copied string) (changed bool, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	text, n, err := Wrap(text)
	if err != nil {
		return false, fmt.Errorf("%s: %w", file, err)
	}
	if n == 0 {
		return false, nil
	}
	return true, os.WriteFile(copied, text, 0o600)
}

// Wrap returns a source with its calls wrapped, and how many there are.
func Wrap(source []byte) (text []byte, n int, err error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, "", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, 0, err
	}
	calls := find(tree)
	if len(calls) == 0 {
		return source, 0, nil
	}
	at := func(p token.Pos) int { return fset.Position(p).Offset }
	var out bytes.Buffer
	name := at(tree.Name.End())
	out.Write(source[:name])
	fmt.Fprintf(&out, "; import %s %q", localName, runtimePackage)
	for _, c := range calls {
		out.Write(source[name:at(c.Pos())])
		name = at(c.End())
		call := source[at(c.Pos()):name]
		fmt.Fprintf(&out, "%s.Around(%q, %s)", localName, c.Sel.Name, call)
	}
	out.Write(source[name:])
	return out.Bytes(), len(calls), nil
}

// localName is what no source calls anything of its own.
const localName = "injectedFault"

// find returns the selectors to wrap in the order of the source. One within
// another's operand does not happen: operands are packages and variables.
func find(tree *ast.File) (found []*ast.SelectorExpr) {
	packages := localNames(tree)
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains(methods, sel.Sel.Name) {
				found = append(found, sel)
			}
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && slices.Contains(functions[packages[x.Name]], n.Sel.Name) {
				found = append(found, n)
			}
		}
		return true
	})
	slices.SortFunc(found, func(a, b *ast.SelectorExpr) int { return int(a.Pos() - b.Pos()) })
	return found
}

// localNames are the imports of a file by the name that it calls them.
func localNames(tree *ast.File) map[string]string {
	names := make(map[string]string)
	for _, spec := range tree.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the compiler says more
		}
		name := path[strings.LastIndexByte(path, '/')+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = path
	}
	return names
}
