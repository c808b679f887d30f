package tomldoc

import (
	"errors"
	"fmt"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLines(t *testing.T) {
	const text = `name = "a"

[b.c]
list = [ # comment
  "one", 'two',

  """three
lines""", # "no"
  "four",
]
inline = { x = 1, y = [1, 2] }
[b]
last = true
`
	doc, root, err := Open(text)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	var walk func(n Node, path string)
	walk = func(n Node, path string) {
		for _, f := range doc.Fields(n) {
			got = append(got, fmt.Sprintf("%s%s %d", path, f.Name, doc.Line(f)))
			if list, ok := f.Value.([]any); ok && f.Name == "list" {
				for i, v := range list {
					got = append(got, fmt.Sprintf("%q %d", v, doc.ElementLine(f, i)))
				}
			}
			walk(f, path+f.Name+".")
		}
	}
	walk(root, "")
	want := []string{
		"name 1", "b 12", "b.c 3", "b.c.list 4", `"one" 5`, `"two" 5`, `"three\nlines" 7`, `"four" 9`,
		"b.c.inline 11", "b.c.inline.x 11", "b.c.inline.y 11", "b.last 13",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOpenSyntax(t *testing.T) {
	_, _, err := Open("a = 1\nb = \n")
	if e, ok := errors.AsType[toml.ParseError](err); !ok || e.Position.Line != 2 {
		t.Errorf("%v", err)
	}
}
