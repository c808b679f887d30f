package commands

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/commands.md")

func TestDocsAreCurrent(t *testing.T) {
	const path = "../docs/commands.md"
	r, err := NewRegistry(Builtin("1"))
	if err != nil {
		t.Fatal(err)
	}
	want := Markdown(r)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not what the commands say; run go test ./commands -update:\n%s", path, diff)
	}
}

func TestMarkdownHasAll(t *testing.T) {
	r, err := NewRegistry(Builtin("1"))
	if err != nil {
		t.Fatal(err)
	}
	text := Markdown(r)
	for _, c := range r.list {
		if c.Summary == "" || !strings.Contains(text, "\n### "+c.Name+"\n") {
			t.Errorf("%s is not described", c.Name)
		}
	}
}
