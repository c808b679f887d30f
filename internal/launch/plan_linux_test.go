package launch

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func fullPlan() Plan {
	return Plan{
		Path: "/srv/app", Argv: []string{"app", "", "b\xffd"}, Env: []string{"A=\xfe", "B="}, Dir: "/srv/\x80", Files: 5, Listen: []string{"web", "admin"}, ListenEnv: nginx,
		Limits: map[string]uint64{"nofile": 1024, "core": Unlimited},
		Umask:  new(0o27), Nice: -5,
		User: &User{UID: 1, GID: 2, Groups: []uint32{3}}, NoNewPrivs: true, Seize: true,
	}
}

func TestPlanSurvivesTheWire(t *testing.T) {
	for _, want := range []Plan{fullPlan(), {Path: "x", Argv: []string{"x"}}} {
		b, err := encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("plan (-want +got):\n%s", diff)
		}
	}
}

func TestBadPlansAreRefusedOnBothSides(t *testing.T) {
	for _, c := range []struct {
		spoil func(*Plan)
		want  string
	}{
		{func(p *Plan) { p.Path = "" }, "no program"},
		{func(p *Plan) { p.Argv = nil }, "no arguments"},
		{func(p *Plan) { p.Argv[0] = "a\x00b" }, "zero byte"},
		{func(p *Plan) { p.Env[0] = "A=\x00" }, "zero byte"},
		{func(p *Plan) { p.Dir = "\x00" }, "zero byte"},
		{func(p *Plan) { p.Files = 4097 }, "want at most 4096"},
		{func(p *Plan) { p.Files = 4 }, "4 descriptors are too few for 2 sockets"},
		{func(p *Plan) { p.Files = -1 }, "want at most 4096"},
		{func(p *Plan) { p.ListenEnv = "nginx" }, `unknown way "nginx" to tell of sockets, want NGINX or EINHORN`},
		{func(p *Plan) { p.NoNewPrivs = false }, "cannot be seized"},
		{func(p *Plan) { p.Limits["stack"] = 1 }, `unknown limit "stack", want one of as, core, fsize, nofile, nproc`},
	} {
		p := fullPlan()
		c.spoil(&p)
		if _, err := encode(p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("encode: %v, want %q", err, c.want)
		}
	}
	for _, bad := range []string{"", "{}", `{"Version":1}`, `{"Version":2}`, "null", "[]", `{"Version":1,"Path":"eA==","Argv":["eA=="]} {}`, `{"Version":1,"Path":"eA==","Argv":["eA=="],"New":1}`} {
		if _, err := decode([]byte(bad)); err == nil {
			t.Errorf("decode %q: no error", bad)
		}
	}
}

func TestPlanTooLong(t *testing.T) {
	p := Plan{Path: "x", Argv: []string{"x"}}
	p.Argv = append(p.Argv, strings.Repeat("x", maxPlan))
	if _, err := New("/x", p, nil); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("got %v", err)
	}
}

func TestOnlyASealedPlanIsRead(t *testing.T) {
	b, err := encode(fullPlan())
	if err != nil {
		t.Fatal(err)
	}
	fd, err := Seal("plan", b)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "plan")
	defer f.Close()
	for range 2 { // reading does not move the position
		got, err := readPlan(fd)
		if diff := cmp.Diff(fullPlan(), got); diff != "" || err != nil {
			t.Errorf("plan (-want +got):\n%s%v", diff, err)
		}
	}
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("a sealed plan was changed")
	}
	plain, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := plain.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := readPlan(int(plain.Fd())); !errors.Is(err, errNotSealed) {
		t.Errorf("plan in an ordinary file: %v", err)
	}
}

func FuzzDecodePlan(f *testing.F) {
	full, err := encode(fullPlan())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add([]byte(`{"Version":1,"Path":"eA==","Argv":["eA=="],"Files":3}`))
	f.Add([]byte(`{"Version":1,"Path":"","Argv":[null],"User":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(b)
		if err != nil {
			return
		}
		again, err := encode(p)
		if err != nil {
			t.Fatalf("decoded, but cannot be encoded: %v", err)
		}
		q, err := decode(again)
		if err != nil {
			t.Fatal(err)
		}
		third, err := encode(q)
		if err != nil || !bytes.Equal(again, third) {
			t.Errorf("%q became %q, %v", again, third, err)
		}
	})
}
