package main

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// A server that pretends to have no end of help fills no memory.
func TestHelpIsLimited(t *testing.T) {
	var l limited
	n, err := io.Copy(&l, bytes.NewReader(make([]byte, 2*maxHelp)))
	if !errors.Is(err, bytes.ErrTooLarge) || n > maxHelp {
		t.Errorf("%d bytes of %d: %v", n, maxHelp, err)
	}
}
