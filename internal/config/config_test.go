package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/difference"
	"github.com/norestart/norestart/shell"
)

// write puts files into a directory of their own and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const whole = `
name = "shop"

[pool.web]
command = ["./app", "--serve"]
workers = "auto"
max_workers = 64
listen = ["tcp://127.0.0.1:8080", "http=unix:///run/shop.sock"]
share = "one"
ready = "log"
ready_line = "^serves$"
env = { B = "2", PATH = "/bin" }
env_file = ["a.env", "b.env"]
dir = "."
new_privileges = true
umask = "027"
nice = 5
tty = true
lame_duck = "0s"
stop_signal = "QUIT"
orphan = "serve"
restart = "on-failure"
max_restarts = 3
within = "2m"
backoff_min = "1s"
backoff_max = "1m"
backoff_reset = "20s"
ready_timeout = "1m30s"
min_ready = "1s"
canary = "0s"
watch = "5m"
max_surge = 0
max_unavailable = 2
listen_env = "NGINX"
drain_timeout = "10s"
stop_timeout = "2s"
kill_group = "group"
[pool.web.rlimits]
nofile = 65536
as = "2G"
core = "unlimited"

[pool.jobs]
command = ["sh", "-c", "exit 1"]
ready = "notify"

[shell]
listen = "[::1]:0"
tls_user = "viola"
tls_cert = "cert.pem"
tls_key = "/etc/key.pem"
idle_timeout = "1h"
max_sessions = 3
`

func TestLoad(t *testing.T) {
	dir := write(t, map[string]string{
		"norestart.toml": whole,
		"app":            "#!/bin/sh\n",
		"a.env":          "A=1\nB=from a\n# comment\n; comment\n\n",
		"b.env":          "export A=\"two \\\"words\\\"\"\nC='$HOME'\nD=\n",
	})
	f, err := Load(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	want := control.Spec{Name: "shop", Pools: []control.PoolSpec{
		{
			Name: "web", Workers: control.Auto, MaxWorkers: 64, Protocol: control.ProtocolMute, ReadyLine: "^serves$",
			Program: &control.Program{
				Command: []string{"./app", "--serve"}, Dir: dir,
				Env: []string{`A=two "words"`, "B=2", "C=$HOME", "D=", "PATH=/bin"},
			},
			Listen: []string{"tcp://127.0.0.1:8080", "http=unix:///run/shop.sock"}, Share: control.ShareOne,
			Limits:        map[string]uint64{"nofile": 65536, "as": 2 << 30, "core": 1<<64 - 1},
			NewPrivileges: true, Policy: control.OnFailure, MaxRestarts: 3, Within: 2 * time.Minute,
			BackoffMin: time.Second, BackoffMax: time.Minute, BackoffReset: 20 * time.Second,
			ReadyTimeout: 90 * time.Second, MinReady: time.Second, Canary: -1, Watch: 5 * time.Minute,
			MaxSurge: control.NoSurge, MaxUnavailable: 2, MaxMemoryFor: 30 * time.Second,
			Umask: new(0o27), Nice: 5, LameDuck: -1, StopSignal: "QUIT", ListenEnv: control.ListenNginx, Nonblock: true, TTY: true, Orphan: control.OrphanServe,
			DrainTimeout: 10 * time.Second, KillAfter: 2 * time.Second, KillGroup: control.KillOwnGroup,
		},
		f.Pools[1].Spec(),
	}}
	if diff := cmp.Diff(want, f.Spec()); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	door := f.ShellConfig()
	if want := (shell.Config{Host: "::1", Port: -1, TLSUser: "viola", TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: "/etc/key.pem"}); door.Host != want.Host ||
		door.Port != want.Port || door.TLSUser != want.TLSUser || door.TLSCert != want.TLSCert || door.TLSKey != want.TLSKey {
		t.Errorf("shell %+v", door)
	}
	if door.IdleTimeout != time.Hour || door.MaxSessions != 3 || door.LoginTimeout != 30*time.Second {
		t.Errorf("limits of the shell: %+v", door)
	}
}

// TestDefaults: what the tags say is what a pool has without them.
func TestDefaults(t *testing.T) {
	dir := write(t, map[string]string{FileName: "name = \"a\"\n[pool.web]\ncommand = [\"sh\"]\n"})
	f, err := Load(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if f.ShellConfig() != nil {
		t.Error("an admin port that nobody has asked for")
	}
	want := control.PoolSpec{
		Name: "web", Workers: 1, Protocol: control.ProtocolMute,
		Program: &control.Program{
			Command: []string{"sh"}, Dir: dir,
		},
	}
	if diff := cmp.Diff(want.WithDefaults(), f.Pools[0].Spec().WithDefaults()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, of := range []any{File{}, Pool{}, Shell{}, Command{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(of)) {
			if text := field.Tag.Get("default"); text != "" {
				into := reflect.New(field.Type).Elem()
				if setDefault(text, into); into.IsZero() && text != "0s" && text != "false" {
					t.Errorf("%T.%s: the default %q is not read", of, field.Name, text)
				}
			}
		}
	}
}

func TestLoadNothing(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), FileName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	dir := write(t, map[string]string{FileName: strings.Repeat("#", maxFile+1)})
	if _, err := Load(filepath.Join(dir, FileName)); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("a large file: %v", err)
	}
}

// TestLoadPipe: whoever reads waits for no writer.
func TestLoadPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}

func TestDiff(t *testing.T) {
	load := func(text, env string) control.Spec {
		dir := write(t, map[string]string{FileName: text, "a.env": env})
		f, err := Load(filepath.Join(dir, FileName))
		if err != nil {
			t.Fatal(err)
		}
		s := f.Spec()
		for _, p := range s.Pools {
			p.Program.Dir = strings.ReplaceAll(p.Program.Dir, dir, "/srv")
		}
		return s
	}
	const web = "name = \"a\"\n[pool.web]\nenv_file = \"a.env\"\ncommand = [\"sh\"]\n"
	before := load(web+"[pool.old]\ncommand = [\"sh\"]\n", "SAME=1\nGONE=1\nSECRET=before\n")
	after := load(web+`workers = "auto"
canary = "0s"
drain_timeout = "1m"
listen = ["tcp://:80"]
rlimits = { nofile = 64 }
umask = "77"
restart = "never"
env = { NEW = "1" }
[pool.jobs]
command = ["sh", "-c", "exit"]
`, "SAME=1\nSECRET=after\n")
	var got []string
	for _, c := range Diff(before, after) {
		got = append(got, c.String())
	}
	want := []string{
		"pool web env.GONE removed",
		"pool web env.NEW added",
		"pool web env.SECRET changed",
		"pool web workers 1 -> auto",
		`pool web listen [] -> ["tcp://:80"]`,
		"pool web restart always -> never",
		"pool web rlimits added: nofile=64",
		"pool web umask none -> 077",
		"pool web canary 500ms -> 0s",
		"pool web drain_timeout 30s -> 1m0s",
		"pool old removed",
		"pool jobs added: sh -c exit",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if same := Diff(after, after); len(same) > 0 {
		t.Errorf("a configuration differs from itself: %v", same)
	}
}

// TestKeysOfSpec: a difference is told by the key that stands in the file.
func TestKeysOfSpec(t *testing.T) {
	beyond := map[string]bool{ // that no file says, or whose key is not there yet
		"Name": true, "BuiltIn": true, "Program": true, "Grant": true,
		"Beat": true, "LostAfter": true, "OrphanAfter": true, "MaxOutgoing": true, "MaxRequests": true,
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[control.PoolSpec]()) {
		if _, ok := fieldOf(reflect.TypeFor[Pool](), difference.Key(f.Name)); ok == beyond[f.Name] {
			t.Errorf("%s: is %q a key: %t", f.Name, difference.Key(f.Name), ok)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(whole)
	f.Add("name = \"a\"\n[pool]\nweb.command = [\n\"a\", 1]\n[[pool.x]]\n")
	f.Add("pool = { web = { command = [\"sh\"], env = { A = 1 } } }\n[shell]\nlisten = \":1\"")
	f.Add("\"\" = 1\n[pool.\"\"]\n[pool.web.\"\"]\n[pool.a.rlimits.b]\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("f.toml", text)
		problems, ok := errors.AsType[Problems](err)
		if err == nil {
			file.Spec()
			file.ShellConfig()
			return
		}
		if !ok || len(problems) == 0 {
			t.Fatalf("%v", err)
		}
		for _, p := range problems {
			if p.File == "f.toml" && (p.Line < 1 || p.Line > strings.Count(text, "\n")+1) {
				t.Errorf("%v: there is no such line", p)
			}
		}
	})
}

func FuzzReadEnv(f *testing.F) {
	f.Add("A=1\nexport B=\"x\\n\"\n#\n;\nC='\n=\n")
	f.Fuzz(func(t *testing.T, text string) {
		all := make(map[string]string)
		readEnv("x", text, all)
		for name, value := range all {
			if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
				t.Errorf("%q=%q", name, value)
			}
		}
	})
}

// TestTemplate: it can be used as it is, and with each of its comments that is a
// key.
func TestTemplate(t *testing.T) {
	text := Template(NameOf("My Shop 2.0"), []string{"sh", "-c", `echo "a b"`})
	dir := write(t, map[string]string{".env": "", FileName: text})
	f, err := Load(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"sh", "-c", `echo "a b"`}; f.Name != "my-shop-2-0" || !slices.Equal(f.Pools[0].Command, want) {
		t.Errorf("%s runs %q", f.Name, f.Pools[0].Command)
	}
	if err := os.Mkdir(filepath.Join(dir, "current"), 0o700); err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^# (\w+ = .*)$`).ReplaceAllString(strings.ReplaceAll(text, "www-data", "0"), "$1")
	if f, err := Parse(filepath.Join(dir, FileName), all); err != nil {
		t.Error(err)
	} else if f.Pools[0].MaxSurge != control.NoSurge || len(f.Pools[0].Listen) != 1 {
		t.Errorf("not all comments were taken: %+v", f.Pools[0])
	}
}

func TestNameOf(t *testing.T) {
	for text, want := range map[string]string{
		"web": "web", "Web API": "web-api", "1st": "st", "": "app", "/": "app", "Ünï": "n", "a.b.": "a-b", strings.Repeat("x", 40): strings.Repeat("x", 32),
	} {
		if got := NameOf(text); got != want || !isName(got) {
			t.Errorf("NameOf(%q) = %q, want %q", text, got, want)
		}
	}
}
