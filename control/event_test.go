package control

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestEventKinds: the list has all of the constants.
func TestEventKinds(t *testing.T) {
	text, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range regexp.MustCompile(`EventKind = "(.*)"`).FindAllStringSubmatch(string(text), -1) {
		if !slices.Contains(EventKinds(), EventKind(c[1])) {
			t.Errorf("%s is missing", c[1])
		}
	}
}
