package inject

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRewrite(t *testing.T) {
	const source = "// package p\npackage p\n\nfunc f(n int) bool {\n\treturn n == 1\n}\n"
	root, out := t.TempDir(), t.TempDir()
	name := filepath.Join(root, "p.go")
	if err := os.WriteFile(name, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := Rewrite(
		root, out,
		Change{"p.go", "n == 1", `n == 1 && !fault.On("one")`},
		Change{"p.go", "func f(n int)", "func f(n, _ int)"},
	)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(overlay)
	if err != nil {
		t.Fatal(err)
	}
	var written struct{ Replace map[string]string }
	if err := json.Unmarshal(text, &written); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(written.Replace[name])
	if err != nil {
		t.Fatal(err)
	}
	want := "// package p\npackage p; import \"" + runtimePackage + "\"\n\nfunc f(n, _ int) bool {\n\treturn n == 1 && !fault.On(\"one\")\n}\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("rewritten (-want +got):\n%s", diff)
	}
	for _, c := range []Change{{"p.go", "n == 2", ""}, {"p.go", "n", ""}, {"q.go", "n", ""}} {
		if _, err := Rewrite(root, out, c); err == nil {
			t.Errorf("a change of %+v is made", c)
		}
	}
}
