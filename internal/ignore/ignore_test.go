package ignore

import "testing"

func TestPatterns(t *testing.T) {
	all, err := Parse(append(Defaults, "*.log", "!keep.log", "/build", "docs/*.md", "a/**/z", "tmp/**", "v[0-9].txt", "w[!0-9].txt", `\#x`, "only/")...)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct{ file, dir bool }{
		"main.go":                    {false, false},
		".git":                       {false, true}, // a file of that name leads to one
		".git/index":                 {true, true},
		"web/node_modules/a/b.js":    {true, true},
		"node_modules.txt":           {false, false},
		"src/.main.go.swp":           {true, true},
		"src/main.go~":               {true, true},
		"src/4913":                   {true, true},
		"deep/in/here.log":           {true, true},
		"deep/keep.log":              {false, false},
		"build":                      {true, true},
		"build/app":                  {true, true},
		"src/build":                  {false, false},
		"docs/a.md":                  {true, true},
		"docs/a/b.md":                {false, false},
		"x/docs/a.md":                {false, false},
		"a/z":                        {true, true},
		"a/b/c/z":                    {true, true},
		"tmp/x":                      {true, true},
		"tmp":                        {false, false},
		"v1.txt":                     {true, true},
		"va.txt":                     {false, false},
		"wa.txt":                     {true, true},
		"w1.txt":                     {false, false},
		"#x":                         {true, true},
		"only":                       {false, true},
		"only/here":                  {true, true},
		"this (and) that + more.txt": {false, false},
	} {
		if got := all.Exclude(name, false); got != want.file {
			t.Errorf("file %s: excluded %v", name, got)
		}
		if got := all.Exclude(name, true); got != want.dir {
			t.Errorf("directory %s: excluded %v", name, got)
		}
	}
	for _, bad := range []string{"", "/", "!", "a[b"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("pattern %q was taken", bad)
		}
	}
}
