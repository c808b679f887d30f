package inject

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		name, source, want string
		n                  int
	}{
		{"nothing", "package p\n\nimport \"os\"\n\nvar f = os.Getenv\n", "package p\n\nimport \"os\"\n\nvar f = os.Getenv\n", 0},
		{
			"a call and a value, on their lines",
			"package p\n\nimport \"os\"\n\nfunc f() error {\n\tg(os.Rename)\n\treturn os.Remove(\"x\")\n}\n",
			"package p; import injectedFault \"" + runtimePackage + "\"\n\nimport \"os\"\n\nfunc f() error {\n\tg(injectedFault.Around(\"Rename\", os.Rename))\n\treturn injectedFault.Around(\"Remove\", os.Remove)(\"x\")\n}\n",
			2,
		},
		{
			"a method, and a call in the arguments of another",
			"package p\n\nimport sys \"golang.org/x/sys/unix\"\n\nfunc f() { join(d.f.Sync(), sys.Listen(fd, sys.Bind(fd, nil))) }\n",
			"package p; import injectedFault \"" + runtimePackage + "\"\n\nimport sys \"golang.org/x/sys/unix\"\n\nfunc f() { join(injectedFault.Around(\"Sync\", d.f.Sync)(), injectedFault.Around(\"Listen\", sys.Listen)(fd, injectedFault.Around(\"Bind\", sys.Bind)(fd, nil))) }\n",
			3,
		},
		{"a variable that is named like a package", "package p\n\nfunc f() { os.Remove(\"x\") }\n", "package p\n\nfunc f() { os.Remove(\"x\") }\n", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, n, err := Wrap([]byte(tt.source))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" || n != tt.n {
				t.Errorf("%d calls, want %d (-want +got):\n%s", n, tt.n, diff)
			}
		})
	}
}

func TestOverlayFindsNothing(t *testing.T) {
	if name, err := Overlay(t.TempDir(), t.TempDir(), "primary"); err == nil {
		t.Errorf("an overlay of nothing: %s", name)
	}
}
