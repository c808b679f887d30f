package builtin

import (
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/typeset"
)

// style is a colour by what it means (ECMA-48 §8.3.117, SGR).
type style string

const (
	normal  style = ""
	good    style = "\x1b[32m" // green
	warning style = "\x1b[33m" // yellow
	bad     style = "\x1b[31m" // red
)

// paint colours text if the terminal shows colours.
func (c *Call) paint(s style, text string) string {
	if !c.in.Screen.Colour || s == normal {
		return text
	}
	return string(s) + text + typeset.Plain
}

// stateStyle is the colour of a slot's state.
func stateStyle(state control.State, amiss bool) style {
	switch {
	case amiss:
		return bad
	case state == control.Ready || state == control.Done:
		return good
	case state == control.Dead:
		return bad
	case state == control.Starting || state == control.Draining || state == control.Backoff || state == control.Stopped:
		return warning
	}
	return normal
}

func jobStyle(state control.JobState) style {
	switch state {
	case control.JobOK:
		return good
	case control.JobFailed:
		return bad
	}
	return warning
}

// table is a table with a colour for each cell; rows are counted without the
// header.
func (c *Call) table(header []string, rows [][]string, tint func(row, column int) style) string {
	return typeset.Table(append([][]string{header}, rows...), c.Width, func(row, column int, cell string) string {
		if row == 0 {
			return cell
		}
		return c.paint(tint(row-1, column), cell)
	})
}
