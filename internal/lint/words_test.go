package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

// retired are words for which the glossary of docs/ARCHITECTURE.md has another.
var retired = map[string]string{
	"heir": "successor", "legacy": "handover", "bequeath": "hand over", "custody": "broker", "visitor": "session",
	"gathering": "adoption", "stray": "unrecorded", "seat": "slot",
}

var (
	word   = regexp.MustCompile(`[A-Z]*[a-z]+`)
	riddle = regexp.MustCompile(`(?:^|[.:;]\s+)(?:Who|Whoever|Whom|Whose|Nobody)\b`)
)

// oddWords tells which words of a file say less to a stranger than others would.
func oddWords(f *ast.File) (found []string) {
	for _, group := range f.Comments {
		for _, sentence := range riddle.FindAllString(group.Text(), -1) {
			found = append(found, "a sentence begins with "+strings.Trim(sentence, ".:; \n")+": begin it with its subject")
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			for _, w := range word.FindAllString(id.Name, -1) {
				if better := retired[strings.ToLower(w)]; better != "" {
					found = append(found, id.Name+": the glossary says "+better)
				}
			}
		}
		return true
	})
	return found
}

// TestWords: names are those of the glossary, sentences begin with their subject.
func TestWords(t *testing.T) {
	for dir, files := range packages(t) {
		for _, f := range files {
			for _, found := range oddWords(f.tree) {
				t.Errorf("%s/%s: %s", dir, f.name, found)
			}
		}
	}
}

func TestOddWords(t *testing.T) {
	for source, want := range map[string]int{
		"package p\n\n// Nobody waits. whoever comes\n// goes: Whoever it is.\nvar x int":   2,
		"package p\n\nvar newHeir, custody, heiress, who int // a worker for whom it waits": 2,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "p.go", source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if got := oddWords(f); len(got) != want {
			t.Errorf("%s: %q, want %d", source, got, want)
		}
	}
}
