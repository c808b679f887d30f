package main

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnlyKnownSectionsAreChosen(t *testing.T) {
	all, err := choose("")
	if err != nil || len(all) != len(sections) {
		t.Errorf("choose(\"\") = %d sections, %v", len(all), err)
	}
	two, err := choose("start,memory")
	if err != nil || len(two) != 2 || two[0].name != "memory" || two[1].name != "start" {
		t.Errorf("choose(\"start,memory\") = %v, %v", two, err)
	}
	if _, err := choose("memory,speed"); err == nil {
		t.Error("choose took a section that does not exist")
	}
}

func TestTableIsMarkdown(t *testing.T) {
	var out strings.Builder
	var tab table
	tab.add("a|b", "≤ 1", "2", judge(false))
	tab.info("c", "3")
	tab.note("seen %d times", 4)
	tab.print(&out, "-only memory", "Memory")
	want := `
## Memory

    go run ./internal/bench -only memory

| what | target | reached | verdict |
|---|---|---|---|
| a\|b | ≤ 1 | 2 | **missed** |
| c | – | 3 | – |

- seen 4 times
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
