package primary

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChangedVariables(t *testing.T) {
	tests := map[string]struct {
		before, now, want []string
	}{
		"the same":          {[]string{"A=1", "B=2"}, []string{"B=2", "A=1"}, nil},
		"another value":     {[]string{"A=1"}, []string{"A=2"}, []string{"A"}},
		"new and gone":      {[]string{"A=1"}, []string{"B=1"}, []string{"A", "B"}},
		"empty is not gone": {[]string{"A="}, nil, []string{"A"}},
		"of the start":      {[]string{"SHLVL=1", "INVOCATION_ID=a"}, []string{"SHLVL=2", "TERM=vt100"}, nil},
		"many":              {nil, []string{"D=", "C=", "B=", "A="}, []string{"A", "B", "C", "…"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(test.want, changed(test.before, test.now)); d != "" {
				t.Errorf("names (-want +got):\n%s", d)
			}
		})
	}
}
