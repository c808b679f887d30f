package commandline

import (
	"strings"
	"testing"
)

// A line that never ends is cut, and what tail keeps is bounded.
func TestFiltersAreBounded(t *testing.T) {
	tail := &tailing{next: last{&strings.Builder{}}, most: maxEnds}
	p := &pipeline{first: tail}
	block := []byte(strings.Repeat("x", 64<<10))
	for range 1000 {
		if _, err := p.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if tail.size > maxTail || len(p.rest) > maxText {
		t.Errorf("%d bytes are kept, %d wait", tail.size, len(p.rest))
	}
}
