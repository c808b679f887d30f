package primary

import (
	"io"
	"strings"
	"testing"
)

func TestCheckSuccessor(t *testing.T) {
	before := record{Program: "example.org/shop", Path: "/opt/shop/v1/shop", Dir: "/"}
	nameless := record{Path: "/tmp/go-build1/exe/main", Dir: "/home/ann/shop"}
	for name, c := range map[string]struct {
		r       *record
		cfg     Config
		refused bool
	}{
		"first start":                         {nil, Config{Binary: "/opt/shop/v1/shop"}, false},
		"of an earlier version":               {&record{}, Config{Binary: "/opt/shop/v2/shop"}, false},
		"the same file, or a link":            {&before, Config{Binary: "/opt/shop/v1/shop", Program: "example.org/new"}, false},
		"another directory, the same program": {&before, Config{Binary: "/opt/shop/v2/shop", Program: "example.org/shop"}, false},
		"another program":                     {&before, Config{Binary: "/usr/bin/shop", Program: "example.org/store", Dir: "/"}, true},
		"another program, as wished":          {&before, Config{Binary: "/usr/bin/shop", Program: "example.org/store", Adopt: true}, false},
		"go run of files":                     {&nameless, Config{Binary: "/tmp/go-build2/exe/main", Dir: "/home/ann/shop"}, false},
		"go run of files elsewhere":           {&nameless, Config{Binary: "/tmp/go-build2/exe/main", Dir: "/home/bob/shop"}, true},
	} {
		p := &Primary{cfg: c.cfg, console: newConsole(io.Discard, "shop")}
		if err := p.checkProgram(c.r); (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		} else if err != nil && (!strings.Contains(err.Error(), c.r.Path) || !strings.Contains(err.Error(), c.cfg.Binary)) {
			t.Errorf("%s: %v does not name both", name, err)
		}
	}
}
