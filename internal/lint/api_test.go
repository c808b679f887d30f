package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// promised are the packages whose API docs/compatibility.md promises.
var promised = []string{".", "control", "commands", "worker", "worker/workertest", "shell"}

// TestNoInternalTypesInPublic looks for exported declarations that name a type
// of an internal package: nobody outside could use them.
func TestNoInternalTypesInPublic(t *testing.T) {
	for _, dir := range promised {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no Go files in %s: %v", dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range internalNames(file) {
				t.Errorf("%s: an exported declaration names %s.%s, which is internal", fset.Position(found.Pos()), found.X, found.Sel)
			}
		}
	}
}

// internalNames returns what exported declarations of the file name of internal
// packages. Function bodies and unexported fields are not looked at.
func internalNames(file *ast.File) (found []*ast.SelectorExpr) {
	internal := map[string]bool{}
	for _, i := range file.Imports {
		name, _ := strconv.Unquote(i.Path.Value)
		if local := path.Base(name); strings.Contains(name, "/internal/") {
			if i.Name != nil {
				local = i.Name.Name
			}
			internal[local] = true
		}
	}
	look := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BlockStmt:
			return false
		case *ast.Field:
			return len(n.Names) == 0 || ast.IsExported(n.Names[0].Name) || !isStructField(file, n)
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && internal[x.Name] {
				found = append(found, n)
			}
		}
		return true
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || exportedReceiver(d.Recv.List[0].Type)) {
				ast.Inspect(d.Type, look)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() {
						ast.Inspect(s.Type, look)
					}
				case *ast.ValueSpec:
					if s.Type != nil && s.Names[0].IsExported() {
						ast.Inspect(s.Type, look)
					}
				}
			}
		}
	}
	return found
}

func exportedReceiver(e ast.Expr) bool {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	id, ok := e.(*ast.Ident)
	return ok && id.IsExported()
}

// isStructField tells a field of a struct type from a parameter or a result.
func isStructField(file *ast.File, field *ast.Field) (is bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				is = is || f == field
			}
		}
		return !is
	})
	return is
}
