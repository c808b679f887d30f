package dirs

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPlaces(t *testing.T) {
	for _, test := range []struct {
		name string
		euid int
		env  map[string]string
		want places
	}{
		{"root", 0, map[string]string{"XDG_RUNTIME_DIR": "/x", "HOME": "/root"}, places{"/run/norestart", "/var/lib/norestart"}},
		{"all set", 7, map[string]string{"XDG_RUNTIME_DIR": "/r", "XDG_STATE_HOME": "/s", "HOME": "/h"}, places{"/r/norestart", "/s/norestart"}},
		{"home", 7, map[string]string{"XDG_RUNTIME_DIR": "/r", "HOME": "/h"}, places{"/r/norestart", "/h/.local/state/norestart"}},
		{"relative", 7, map[string]string{"XDG_RUNTIME_DIR": "r", "XDG_STATE_HOME": "s", "HOME": "/h"}, places{"", "/h/.local/state/norestart"}},
		{"nothing", 7, nil, places{}},
	} {
		got := placesOf(test.euid, func(name string) string { return test.env[name] })
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(places{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestPlacesMissing(t *testing.T) {
	for want, p := range map[string]places{"XDG_RUNTIME_DIR": {state: "/s"}, "XDG_STATE_HOME": {run: "/r"}} {
		for _, f := range []func(string, string) (Dirs, error){p.prepare, p.find} {
			if _, err := f("shop", ""); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--dir") {
				t.Errorf("%+v: %v", p, err)
			}
		}
	}
}

// temporary returns places in a new directory.
func temporary(t *testing.T) places {
	dir := t.TempDir()
	return places{run: filepath.Join(dir, "run", product), state: filepath.Join(dir, "state", product)}
}

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() || info.Mode().Perm() != want {
		t.Errorf("%s: %v, %v; want %04o", path, info, err, want)
	}
}

func TestPrepare(t *testing.T) {
	for _, umask := range []int{0, 0o077} {
		old := syscall.Umask(umask)
		t.Cleanup(func() { syscall.Umask(old) })
		p := temporary(t)
		want := Dirs{Run: filepath.Join(p.run, "shop"), State: filepath.Join(p.state, "shop")}
		for range 2 { // made, then taken as it is
			got, err := p.prepare("shop", "")
			if err != nil || got != want {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
			wantMode(t, p.run, 0o711)
			wantMode(t, got.Run, 0o711)
			wantMode(t, got.State, 0o700)
		}
	}
}

func TestPrepareOwn(t *testing.T) {
	t.Chdir(t.TempDir())
	got, err := places{}.prepare("", "a/b")
	if err != nil || got.Run != got.State || !filepath.IsAbs(got.Run) {
		t.Fatalf("%v, %v", got, err)
	}
	wantMode(t, "a/b", 0o700)
	if _, err := (places{}).prepare("any name", "a/b"); err != nil {
		t.Errorf("the existing one: %v", err)
	}
	if err := os.Chmod("a/b", 0o750); err != nil {
		t.Fatal(err)
	}
	want := "directory: " + got.Run + ": mode 0750, must be 0700: chmod 700 " + got.Run
	if _, err := (places{}).prepare("", "a/b"); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestPrepareRefuses(t *testing.T) {
	p := temporary(t)
	for _, name := range []string{"", "..", ".x", "a/b", "a b", "é", "-x", strings.Repeat("x", 64)} {
		if _, err := p.prepare(name, ""); err == nil {
			t.Errorf("name %q: accepted", name)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := p.prepare("", dir); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("%s: %v", dir, err)
		}
		if _, err := p.find("", dir); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	d, err := p.prepare("shop", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(d.Run, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := p.prepare("shop", ""); err == nil || !strings.Contains(err.Error(), "run directory: "+d.Run+": mode 0755, must be 0711") {
		t.Errorf("a run directory that others can list: %v", err)
	}
}

func TestFind(t *testing.T) {
	p := temporary(t)
	if _, err := p.find("", ""); err == nil || !strings.Contains(err.Error(), "no cluster in "+p.state) {
		t.Errorf("none: %v", err)
	}
	shop, err := p.prepare("shop", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.state, "a-file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "shop"} {
		if got, err := p.find(name, ""); err != nil || got != shop {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	if _, err := p.find("shoe", ""); err == nil || !strings.Contains(err.Error(), "; there are: shop") {
		t.Errorf("another name: %v", err)
	}
	if _, err := p.prepare("blog", ""); err != nil {
		t.Fatal(err)
	}
	if got, err := p.all(); err != nil || len(got) != 2 || got[1] != shop {
		t.Errorf("all: %v, %v", got, err)
	}
	if _, err := p.find("", ""); err == nil || !strings.Contains(err.Error(), "--name: blog, shop") {
		t.Errorf("two: %v", err)
	}
	if _, err := p.find("../state/shop", ""); err == nil || !strings.Contains(err.Error(), "name of a cluster") {
		t.Errorf("a path as name: %v", err)
	}
	if _, err := p.find("", filepath.Join(p.state, "nowhere")); err == nil {
		t.Error("a directory that is not there")
	}
	if got, err := p.find("", shop.State); err != nil || got != (Dirs{Run: shop.State, State: shop.State}) {
		t.Errorf("by directory: %v, %v", got, err)
	}
}

// Whoever may change a name on the way to a directory leads root elsewhere.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("run as root to give directories away")
	}
	top := t.TempDir()
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	const bob = 4711
	for _, dir := range []string{"root/own", "root/bobs", "bob/own", "bob/roots", "open/own", "sticky/own"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for dir, mode := range map[string]os.FileMode{"open": 0o777, "sticky": 0o777 | os.ModeSticky} {
		if err := os.Chmod(filepath.Join(top, dir), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../root/own", filepath.Join(top, "bob/link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root/bobs", "bob", "bob/own", "bob/link"} {
		if err := os.Lchown(filepath.Join(top, name), bob, bob); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		dir string
		uid int // -1: refused
	}{
		{"root/own", 0}, {"root/bobs", bob}, {"bob/own", bob}, {"bob/roots", -1}, {"bob/link", -1}, {"open/own", -1}, {"sticky/own", 0},
	} {
		uid, _, err := Owner(filepath.Join(top, tt.dir))
		if (err != nil) != (tt.uid < 0) || err == nil && uid != tt.uid {
			t.Errorf("%s: uid %d, %v; want %d", tt.dir, uid, err, tt.uid)
		}
		if err := CheckOwn(filepath.Join(top, tt.dir)); (err == nil) != (tt.uid == 0) {
			t.Errorf("%s to run in: %v", tt.dir, err)
		}
	}
}

func TestDistrust(t *testing.T) {
	for _, test := range []struct {
		mode              os.FileMode
		uid, gid, invoker uint32
		want              string
	}{
		{0o644, 0, 0, 0, ""},
		{0o664, 0, 0, 0, ""},
		{0o664, 0, 50, 0, "group 50 may write"},
		{0o646, 0, 0, 0, "anybody may write"},
		{0o644, 7, 0, 0, "belongs to uid 7"},
		{0o644, 7, 7, 7, ""},
		{0o644, 8, 7, 7, "belongs to uid 8"},
		{0o777 | os.ModeDir | os.ModeSticky, 0, 0, 0, ""},
		{0o777 | os.ModeDir, 0, 0, 0, "anybody may write"},
		{0o666 | os.ModeSticky, 0, 0, 0, "anybody may write"},
		{0o755 | os.ModeDir | os.ModeSticky, 9, 0, 0, "belongs to uid 9"},
	} {
		err := distrust("/x", test.mode, test.uid, test.gid, test.invoker)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}
