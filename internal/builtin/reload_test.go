package builtin

import (
	"testing"

	"github.com/norestart/norestart/control"
)

func TestChangeText(t *testing.T) {
	for want, c := range map[string]control.Change{
		"env.A added":       {Key: "env.A", To: "***"},
		"env.A removed":     {Key: "env.A", From: "***"},
		"env.A changed":     {Key: "env.A", From: "***", To: "***"},
		"dir /a -> /b":      {Key: "dir", From: "/a", To: "/b"},
		"listen - -> tcp:1": {Key: "listen", To: "tcp:1"},
		"umask changed":     {Key: "umask"},
	} {
		if got := changeText(c); got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
}
