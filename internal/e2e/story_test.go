package e2e

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReasonFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		log      string
		consoles []string
		want     string
	}{
		"passed":        {"# a phase (0.1s)\n", nil, "# a phase (0.1s)\n"},
		"failed":        {"# a phase\n> exec false\nFAIL: x.txtar:3: no match\n", nil, "x.txtar:3: no match\n\n# a phase\n> exec false\nFAIL: x.txtar:3: no match\n"},
		"at once":       {"FAIL: x.txtar:1: no such\n", nil, "x.txtar:1: no such\n\nFAIL: x.txtar:1: no such\n"},
		"two lines":     {"> cmp\nFAIL: x.txtar:2: differ:\n-a\n+b\n", nil, "x.txtar:2: differ:\n-a\n+b\n\n> cmp\nFAIL: x.txtar:2: differ:\n-a\n+b\n"},
		"with consoles": {"FAIL: x: y\n", []string{"of one", "of two"}, "x: y\n\nFAIL: x: y\n\nof one\nof two"},
	} {
		if d := cmp.Diff(tt.want, reasonFirst(tt.log, tt.consoles)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}
