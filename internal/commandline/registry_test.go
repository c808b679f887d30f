package commandline

import (
	"testing"

	"github.com/norestart/norestart/commands"
)

func TestParseRole(t *testing.T) {
	for _, want := range []commands.Role{commands.Viewer, commands.Operator, commands.Admin} {
		if got, err := ParseRole(want.String()); got != want || err != nil {
			t.Errorf("ParseRole(%s) = %s, %v", want, got, err)
		}
	}
	for _, bad := range []string{"", "none", "commands.Admin", "root"} {
		if got, err := ParseRole(bad); got != commands.NoRole || err == nil {
			t.Errorf("ParseRole(%q) = %s, %v", bad, got, err)
		}
	}
}
