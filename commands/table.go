package commands

import (
	"strings"
	"unicode/utf8"
)

// Table writes rows under a header in aligned columns, in one piece: a table
// is whole or not there. Cells pass [Safe]. At a prompt, lines are cut to the
// width of the terminal.
func (c *Call) Table(header []string, rows ...[]string) error {
	_, err := c.Out.Write([]byte(c.table(header, rows)))
	return err
}

func (c *Call) table(header []string, rows [][]string) string {
	all := make([][]string, 0, len(rows)+1)
	for _, row := range append([][]string{header}, rows...) {
		all = append(all, safeCells(row))
	}
	return layOut(all, c.Width)
}

func safeCells(row []string) []string {
	cells := make([]string, len(row))
	for i, cell := range row {
		cells[i] = strings.ReplaceAll(Safe(cell), "\t", " ")
	}
	return cells
}

// layOut aligns rows by their widest cells; width 0 does not cut.
func layOut(rows [][]string, width int) string {
	var widest []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widest) {
				widest = append(widest, 0)
			}
			widest[i] = max(widest[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := alignRow(row, widest)
		if width > 0 {
			line = clip(line, width)
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}

func alignRow(row []string, widest []int) string {
	var b strings.Builder
	for i, cell := range row {
		b.WriteString(cell)
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", widest[i]-utf8.RuneCountInString(cell)+2))
		}
	}
	return strings.TrimRight(b.String(), " ")
}
