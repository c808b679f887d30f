package typeset

import "strings"

const (
	leastColumn = 10 // columns that a cell keeps when others need room
	leastHead   = 4  // columns that a heading keeps
	// LeastText is the room below which text that wraps goes to a line of its own.
	LeastText = 24
)

// Table aligns rows of columns; the first row is the heading. Cells pass [Safe].
// A width above 0 is that of a terminal: the widest columns are cut first, then
// the lines. paint gives a cell a colour, the heading is row 0; it may be nil.
func Table(rows [][]string, width int, paint func(row, column int, cell string) string) string {
	all := make([][]string, 0, len(rows))
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = strings.ReplaceAll(Safe(cell), "\t", " ")
		}
		all = append(all, cells)
	}
	return layout{rows: all, width: width, squeeze: true, paint: paint}.text()
}

// List aligns rows of one or two cells. With a width above 0 the second cell is
// wrapped.
func List(rows [][]string, width int) string {
	if width > 0 {
		rows = wrapLast(rows, width)
	}
	return layout{rows: rows, width: width}.text()
}

// wrapLast breaks the second cell of rows, of at most two, where it is too long.
func wrapLast(rows [][]string, width int) [][]string {
	left := 0
	for _, row := range rows {
		if len(row) > 1 {
			left = max(left, Columns(row[0]))
		}
	}
	below := width-left-2 < LeastText
	var out [][]string
	for _, row := range rows {
		switch {
		case len(row) < 2 || row[1] == "":
			out = append(out, row[:1])
		case below:
			out = append(out, row[:1])
			for _, line := range Wrap(row[1], width-6) {
				out = append(out, []string{"      " + line})
			}
		default:
			for i, line := range Wrap(row[1], width-left-2) {
				out = append(out, []string{[]string{row[0], ""}[min(i, 1)], line})
			}
		}
	}
	return out
}

// Wrap breaks text into lines of at most width columns; a longer word has a line
// of its own.
func Wrap(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case Columns(*last)+1+Columns(word) > width:
			lines = append(lines, word)
		default:
			*last += " " + word
		}
	}
	return lines
}

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
		l.narrow(widest)
	}
	var b strings.Builder
	for i, row := range l.rows {
		line := l.align(i, row, widest)
		if l.width > 0 {
			line = Clip(line, l.width)
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

// narrow takes from the headings that are wider than what is below them, then
// from the widest columns, until all fit or none is wide.
func (l layout) narrow(widest []int) {
	total := 2 * (len(widest) - 1)
	for _, w := range widest {
		total += w
	}
	below := layout{rows: l.rows[1:]}.widest()
	for i := len(below) - 1; i >= 0 && total > l.width; i-- {
		spare := min(widest[i]-max(below[i], leastHead), total-l.width)
		if spare > 0 {
			widest[i] -= spare
			total -= spare
		}
	}
	for ; total > l.width; total-- {
		most := 0
		for i, w := range widest {
			if w >= widest[most] {
				most = i
			}
		}
		if widest[most] <= leastColumn {
			return
		}
		widest[most]--
	}
}

func (l layout) align(number int, row []string, widest []int) string {
	var b strings.Builder
	for i, cell := range row {
		cell = Clip(cell, widest[i])
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
