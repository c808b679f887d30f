package doctor

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/inherit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// biting are the findings that bite, in one string.
func (d *doctor) biting() string {
	var b strings.Builder
	for _, f := range d.found {
		if f.Bites {
			b.WriteString(f.About + ": " + f.Text + " | " + f.Mend + "\n")
		}
	}
	return b.String()
}

func TestUnit(t *testing.T) {
	const good = "[Unit]\nType=simple\n[Service]\nType=notify\nKillMode=process\nRestart=on-failure\nOOMPolicy=continue\n" +
		"ExecStart=/usr/bin/norestart \\\n  up --config /x\nExecReload=x\n"
	for _, tt := range []struct{ name, text, want string }{
		{"good", strings.ReplaceAll(good, "norestart \\\n  up", "norestart up"), ""},
		{"of others", "[Service]\nExecStart=/bin/sleep 1\n", ""},
		{"modes", "[Service]\nExecStart=/usr/bin/norestart up\nRestart=always\nKillMode=mixed\n#KillMode=process\nOOMPolicy=continue\n", "KillMode=mixed: a primary that is killed takes"},
		{"nothing", "[Service]\nExecStart=norestart up\n", "Restart=: a primary that is killed does not come back | Restart=on-failure"},
		{"directory", strings.ReplaceAll(good, "norestart \\\n  up", "norestart up") + "RuntimeDirectory=norestart\n", "RuntimeDirectoryPreserve=yes"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "shop.service"), []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		d := &doctor{cluster: Cluster{Units: []string{dir}}}
		d.units()
		if got := d.biting(); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestSettings(t *testing.T) {
	got := settings("A=1\n[Service]\nA = 2\n; A=3\nB=x \\\n  y\nA=4\n[Install]\nA=5\n")
	if diff := cmp.Diff(map[string]string{"A": "4", "B": "x    y"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAddresses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := &doctor{cluster: Cluster{Listen: []Address{
		{"web", inherit.Listen{TCP: netip.MustParseAddrPort(l.Addr().String())}, inherit.Slots},
		{"free", loopback, inherit.One},
		{"file", inherit.Listen{Path: file}, inherit.One},
	}}}
	d.addresses()
	got := d.biting()
	for _, want := range []string{"address of web: ", "already in use by pid ", "stop pid ", "address of file: "} {
		if !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if strings.Contains(got, "free") {
		t.Errorf("%q", got)
	}
	d = &doctor{cluster: Cluster{Runs: true, Listen: d.cluster.Listen}}
	if d.addresses(); d.biting() != "" {
		t.Errorf("of a cluster that runs: %q", d.biting())
	}
}

func TestDirectories(t *testing.T) {
	top := t.TempDir()
	open, file := filepath.Join(top, "open"), filepath.Join(top, "file")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		open:                       "mode 0755, must be 0700 | chmod 700",
		file:                       "is no directory",
		filepath.Join(top, "new"):  "",
		filepath.Join(file, "new"): "not a directory | let this user reach it",
		top + "/" + strings.Repeat("x", longestDir): "too long",
	} {
		d := &doctor{cluster: Cluster{Dirs: dirs.Dirs{Run: dir, State: dir}}}
		d.directory("state directory", dir, 0o700)
		if want == "too long" {
			d.directories()
		}
		if got := d.biting(); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", dir, got, want)
		}
	}
}

func TestLimitsAndClock(t *testing.T) {
	d := &doctor{cluster: Cluster{Workers: 1 << 40}}
	d.limits()
	if !strings.Contains(d.biting(), "limit nofile: ") {
		t.Errorf("%q", d.biting())
	}
	d.clock(time.Unix(0, 0))
	if !strings.Contains(d.biting(), "clock: 1970") && !strings.Contains(d.biting(), "clock: 1969") {
		t.Errorf("%q", d.biting())
	}
}
