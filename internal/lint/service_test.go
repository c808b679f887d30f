package lint

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var fetches = regexp.MustCompile(`curl -s .*`)

// TestFirstServiceIsCurrent: docs/first-service.md shows the commands that its
// script plays, in their order.
func TestFirstServiceIsCurrent(t *testing.T) {
	script, err := os.ReadFile("internal/e2e/testdata/script/first_service.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var played []string
	for line := range strings.Lines(string(script)) {
		if command, ok := strings.CutPrefix(line, "exec "); ok && !strings.HasPrefix(command, "sh ") {
			played = append(played, fetches.ReplaceAllString(strings.TrimSpace(command), "curl"))
		}
	}
	var onPage []string
	for _, s := range shown(pages(t)["docs/first-service.md"]) {
		onPage = append(onPage, fetches.ReplaceAllString(s.command, "curl"))
	}
	if len(played) < 10 {
		t.Fatalf("%d commands in the script: does this test read it right?", len(played))
	}
	if diff := cmp.Diff(played, onPage); diff != "" {
		t.Errorf("docs/first-service.md (-script +page):\n%s", diff)
	}
}
