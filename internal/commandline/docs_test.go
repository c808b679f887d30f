package commandline_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/builtin"
	"github.com/norestart/norestart/internal/commandline"
	"github.com/norestart/norestart/internal/typeset"
)

var update = flag.Bool("update", false, "write docs/commands.md")

func TestDocsAreCurrent(t *testing.T) {
	const path = "../../docs/commands.md"
	r, err := commandline.NewRegistry(builtin.Commands("1"))
	if err != nil {
		t.Fatal(err)
	}
	want := commandline.Markdown(r)
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
		t.Errorf("%s is not what the commands say; run make docs:\n%s", path, diff)
	}
}

func TestMarkdownHasAll(t *testing.T) {
	r, err := commandline.NewRegistry(builtin.Commands("1"))
	if err != nil {
		t.Fatal(err)
	}
	text := commandline.Markdown(r)
	for _, c := range r.Visible(commands.Admin) {
		if c.Summary == "" || !strings.Contains(text, "\n### "+c.Name+"\n") {
			t.Errorf("%s is not described", c.Name)
		}
	}
}

func TestManual(t *testing.T) {
	r, err := commandline.NewRegistry(builtin.Commands("1.2.3"))
	if err != nil {
		t.Fatal(err)
	}
	page := commandline.Manual(r, "1.2.3")
	for _, want := range []string{".SS worker info\n", "\n.TP\n.B 77\n", ".B \\-\\-follow"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if got := typeset.Roff(".TH x\n'y\n\\fB-z… é"); got != "\\&.TH x\n\\&'y\n\\efB\\-z... \\[u00E9]" {
		t.Errorf("roff: %q", got)
	}
}
