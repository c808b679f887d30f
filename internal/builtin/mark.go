package builtin

import (
	"fmt"
	"strings"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/typeset"
)

// mark is what [commandline.Invocation.Mark] makes of a value; empty if no client
// of ours reads it. It is written in one piece with its line.
func (c *Call) mark(kind, value string) string {
	if c.in.Mark == nil {
		return ""
	}
	return c.in.Mark(kind, value)
}

// placed ends a line of text with its place, if it has one.
func (c *Call) placed(text, place string) string {
	if place == "" {
		return text
	}
	return strings.TrimSuffix(text, "\n") + c.mark("place", place) + "\n"
}

// writeLine writes v as one line of a stream, with its place.
func (c *Call) writeLine(v any, place string) error {
	line, err := typeset.JSON(v)
	if err != nil {
		return err
	}
	return c.write(c.placed(string(line), place))
}

// writePlace writes a cursor for --after.
func writePlace(c control.Cursor) string { return fmt.Sprintf("%d.%d", c.Epoch, c.Seq) }

// after reads --after EPOCH.SEQ.
func (c *Call) after() (control.Cursor, error) {
	var at control.Cursor
	text := c.text("after")
	if text == "" {
		return at, nil
	}
	if _, err := fmt.Sscanf(text, "%d.%d", &at.Epoch, &at.Seq); err != nil || writePlace(at) != text {
		return control.Cursor{}, commands.Usagef("--after %q: must be EPOCH.SEQ, as in the output of --json", text)
	}
	return at, nil
}
