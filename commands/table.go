package commands

import (
	"strings"
)

// least is how narrow a column of a table may become, to leave room for others.
const least = 10

// Table writes rows under a header in aligned columns, in one piece: a table
// is whole or not there. Cells pass [Safe]. At a prompt the table is made to
// fit the terminal: the widest columns are cut first, then the lines.
func (c *Call) Table(header []string, rows ...[]string) error {
	_, err := c.Out.Write([]byte(c.table(header, rows, nil)))
	return err
}

// table is Table with a colour for each cell; tint may be nil.
func (c *Call) table(header []string, rows [][]string, tint func(row, column int) style) string {
	all := make([][]string, 0, len(rows)+1)
	for _, row := range append([][]string{header}, rows...) {
		all = append(all, safeCells(row))
	}
	l := layout{rows: all, width: c.Width, squeeze: true}
	if tint != nil {
		l.paint = func(row, column int, cell string) string {
			if row == 0 {
				return cell
			}
			return c.paint(tint(row-1, column), cell)
		}
	}
	return l.text()
}

func safeCells(row []string) []string {
	cells := make([]string, len(row))
	for i, cell := range row {
		cells[i] = strings.ReplaceAll(Safe(cell), "\t", " ")
	}
	return cells
}

// layOut aligns rows by their widest cells; width 0 does not cut.
func layOut(rows [][]string, width int) string { return layout{rows: rows, width: width}.text() }

// layout is a table on its way to text.
type layout struct {
	rows    [][]string
	width   int  // 0: any
	squeeze bool // cut wide cells so that the others have room
	paint   func(row, column int, cell string) string
}

func (l layout) text() string {
	widest := l.widest()
	if l.squeeze && l.width > 0 {
		narrow(widest, l.width)
	}
	var b strings.Builder
	for i, row := range l.rows {
		line := l.align(i, row, widest)
		if l.width > 0 {
			line = clip(line, l.width)
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}

func (l layout) widest() []int {
	var widest []int
	for _, row := range l.rows {
		for i, cell := range row {
			if i == len(widest) {
				widest = append(widest, 0)
			}
			widest[i] = max(widest[i], Columns(cell))
		}
	}
	return widest
}

// narrow takes from the widest columns until all fit, or none is wide.
func narrow(widest []int, width int) {
	total := 2 * (len(widest) - 1)
	for _, w := range widest {
		total += w
	}
	for ; total > width; total-- {
		most := 0
		for i, w := range widest {
			if w >= widest[most] {
				most = i
			}
		}
		if widest[most] <= least {
			return
		}
		widest[most]--
	}
}

func (l layout) align(number int, row []string, widest []int) string {
	var b strings.Builder
	for i, cell := range row {
		cell = clip(cell, widest[i])
		gap := strings.Repeat(" ", widest[i]-Columns(cell)+2)
		if l.paint != nil {
			cell = l.paint(number, i, cell)
		}
		b.WriteString(cell)
		if i < len(row)-1 {
			b.WriteString(gap)
		}
	}
	return strings.TrimRight(b.String(), " ")
}
