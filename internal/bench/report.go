package main

import (
	"fmt"
	"io"
	"strings"
)

type table struct {
	rows  []row
	notes []string // the single turns, and what a reader must know
}

// row is one line: what was to be reached, what was, and whether that will do.
type row struct {
	what, target, reached string
	verdict               verdict
}

type verdict string

const (
	reached  verdict = "reached"
	missed   verdict = "**missed**"
	tooFew   verdict = "none so far, too few for a verdict"
	noTarget verdict = "–" // a figure that explains another
)

// judge is the verdict on a target that was reached or not.
func judge(ok bool) verdict {
	if ok {
		return reached
	}
	return missed
}

func (t *table) add(what, target, got string, v verdict) {
	t.rows = append(t.rows, row{what: what, target: target, reached: got, verdict: v})
}

// info adds a figure that has no target.
func (t *table) info(what, got string) { t.add(what, "–", got, noTarget) }

func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (o outcome) explain(t *table, what string) {
	for _, cause := range o.Causes {
		t.note("%s: %s", what, cause)
	}
}

// print writes the table as Markdown, with the command that repeats it.
func (t *table) print(out io.Writer, command, title string) {
	fmt.Fprintf(out, "\n## %s\n\n    go run ./internal/bench %s\n\n", title, command)
	fmt.Fprintln(out, "| what | target | reached | verdict |\n|---|---|---|---|")
	for _, r := range t.rows {
		cells := []string{r.what, r.target, r.reached, string(r.verdict)}
		for i, c := range cells {
			cells[i] = strings.ReplaceAll(c, "|", "\\|")
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
	}
	if len(t.notes) > 0 {
		fmt.Fprintln(out)
	}
	for _, n := range t.notes {
		fmt.Fprintf(out, "- %s\n", n)
	}
}
