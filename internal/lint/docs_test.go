package lint

import (
	"go/format"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pages are the documents, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			found[path] = string(text)
		}
	}
	return found
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// dead are the links of a page to files that are not there.
func dead(path, text string) []string {
	var gone []string
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		file, _, _ := strings.Cut(m[1], "#")
		if file == "" || strings.Contains(file, "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), file)); err != nil {
			gone = append(gone, m[1])
		}
	}
	return gone
}

func TestLinks(t *testing.T) {
	all := pages(t)
	if all["README.md"] == "" || all["docs/ARCHITECTURE.md"] == "" {
		t.Error("the README or docs/ARCHITECTURE.md is missing")
	}
	for path, text := range all {
		if gone := dead(path, text); len(gone) > 0 {
			t.Errorf("%s links to what is not there: %q", path, gone)
		}
	}
	want := []string{"gone.md#x"}
	if diff := cmp.Diff(want, dead("docs/x.md", "[a](../README.md) [b](gone.md#x) [c](#here) [d](https://example.org/)")); diff != "" {
		t.Errorf("dead links (-want +got):\n%s", diff)
	}
}

var (
	testName   = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+|[a-z_]+\\.txtar)`")
	testHeader = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
)

// TestNamedTestsExist: what docs/security.md calls tested is.
func TestNamedTestsExist(t *testing.T) {
	var have []string
	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil || e.IsDir():
			return err
		case strings.HasSuffix(path, ".txtar"):
			have = append(have, e.Name())
		case strings.HasSuffix(path, "_test.go"):
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range testHeader.FindAllSubmatch(source, -1) {
				have = append(have, string(m[1]))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := testName.FindAllStringSubmatch(pages(t)["docs/security.md"], -1)
	if len(named) < 20 {
		t.Errorf("docs/security.md names %d tests: does this test read it right?", len(named))
	}
	for _, m := range named {
		if !slices.Contains(have, m[1]) {
			t.Errorf("docs/security.md names %s, which is not there", m[1])
		}
	}
}

// TestProgramOfReadme builds what the README shows, in this module.
func TestProgramOfReadme(t *testing.T) {
	t.Parallel()
	_, rest, found := strings.Cut(pages(t)["README.md"], "```go\n")
	program, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the README has no program")
	}
	if tidy, err := format.Source([]byte(program)); err != nil || string(tidy) != program {
		t.Errorf("it is not as gofmt writes it: %v", err)
	}
	path := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(path, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "vet", path).CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
}
