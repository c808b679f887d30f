package inject

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// Change is one place of a source, and what stands there instead. That may use
// package fault.
type Change struct{ File, Old, New string }

// Rewrite writes changed copies of sources of the module at root into out, and the
// file for go build -overlay, whose name it returns. A place that is not there
// exactly once is an error: the source has changed.
func Rewrite(root, out string, changes ...Change) (string, error) {
	replace, texts := make(map[string]string), make(map[string]string)
	for _, c := range changes {
		file := filepath.Join(root, c.File)
		if _, ok := texts[file]; !ok {
			text, err := os.ReadFile(file)
			if err == nil {
				texts[file], err = imported(text)
			}
			if err != nil {
				return "", err
			}
		}
		if n := strings.Count(texts[file], c.Old); n != 1 {
			return "", fmt.Errorf("%s has %d places like %q, not 1", c.File, n, c.Old)
		}
		texts[file] = strings.Replace(texts[file], c.Old, c.New, 1)
		replace[file] = filepath.Join(out, strings.ReplaceAll(c.File, "/", "-"))
	}
	for file, copied := range replace {
		if err := os.WriteFile(copied, []byte(texts[file]), 0o600); err != nil {
			return "", err
		}
	}
	return overlay(out, replace)
}

// imported adds the import of package fault behind the package clause. Lines stay.
func imported(source []byte) (string, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, "", source, parser.PackageClauseOnly)
	if err != nil {
		return "", err
	}
	end := fset.Position(tree.Name.End()).Offset
	return fmt.Sprintf("%s; import %q%s", source[:end], runtimePackage, source[end:]), nil
}
