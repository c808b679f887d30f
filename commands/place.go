package commands

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/norestart/norestart/control"
)

// mark is what [Invocation.Mark] makes of a value; nothing, if nobody wants to
// know. It is written in one piece with the line that it belongs to.
func (c *Call) mark(kind, value string) string {
	if c.place == nil {
		return ""
	}
	return c.place(kind, value)
}

// placed ends a line of text with the place behind it.
func (c *Call) placed(text, place string) string {
	return strings.TrimSuffix(text, "\n") + c.mark("place", place) + "\n"
}

// writePlace writes a cursor for --after.
func writePlace(c control.Cursor) string { return fmt.Sprintf("%d.%d", c.Epoch, c.Seq) }

// after reads --after EPOCH.SEQ.
func (c *Call) after() (control.Cursor, error) {
	text, err := c.Flags().GetString("after")
	if err != nil || text == "" {
		return control.Cursor{}, err
	}
	epoch, seq, _ := strings.Cut(text, ".")
	var place control.Cursor
	var bad error
	if place.Epoch, err = strconv.ParseUint(epoch, 10, 64); err != nil {
		bad = err
	}
	if place.Seq, err = strconv.ParseUint(seq, 10, 64); err != nil {
		bad = err
	}
	if bad != nil {
		return control.Cursor{}, Usagef("--after %q: must be EPOCH.SEQ, as in the output of --json", text)
	}
	return place, nil
}
