package difference

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/norestart/norestart/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFields(t *testing.T) {
	mask := 0o27
	base := control.PoolSpec{Name: "web", Workers: 2, Listen: []string{"tcp://:1"}}.WithDefaults()
	for key, test := range map[string]struct {
		change func(*control.PoolSpec)
		want   []Field
	}{
		"nothing":   {func(s *control.PoolSpec) { s.Limits, s.DependsOn = map[string]uint64{}, []string{} }, nil},
		"a program": {func(s *control.PoolSpec) { s.Program = &control.Program{} }, nil},
		"workers":   {func(s *control.PoolSpec) { s.Workers = control.Auto }, []Field{{"Workers", control.Change{Key: "workers", From: "2", To: "auto"}}}},
		"a list":    {func(s *control.PoolSpec) { s.Listen = nil }, []Field{{"Listen", control.Change{Key: "listen", From: `["tcp://:1"]`, To: "[]"}}}},
		"limits": {
			func(s *control.PoolSpec) { s.Limits = map[string]uint64{"nproc": 2, "core": 1} },
			[]Field{{"Limits", control.Change{Key: "rlimits", To: "core=1 nproc=2"}}},
		},
		"two": {func(s *control.PoolSpec) { s.Umask, s.ReadyTimeout = &mask, time.Minute }, []Field{
			{"Umask", control.Change{Key: "umask", From: "none", To: "027"}},
			{"ReadyTimeout", control.Change{Key: "ready_timeout", From: "30s", To: "1m0s"}},
		}},
		"ready": {func(s *control.PoolSpec) { s.Protocol = control.ProtocolMute }, []Field{{"Protocol", control.Change{Key: "ready", From: "library", To: "timer"}}}},
	} {
		t.Run(key, func(t *testing.T) {
			to := base
			test.change(&to)
			if d := cmp.Diff(test.want, Fields(base, to)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestProgram(t *testing.T) {
	from := &control.Program{Command: []string{"./a"}, Dir: "/a", Env: []string{"SAME=1", "TOKEN=old", "GONE=1"}}
	to := &control.Program{Command: []string{"./a", "-v"}, Dir: "/b", Env: []string{"TOKEN=new", "SAME=1", "NEW="}}
	want := []control.Change{
		{Key: "command", From: `["./a"]`, To: `["./a", "-v"]`},
		{Key: "dir", From: "/a", To: "/b"},
		{Key: "env.GONE", From: Masked},
		{Key: "env.NEW", To: Masked},
		{Key: "env.TOKEN", From: Masked, To: Masked},
	}
	if d := cmp.Diff(want, Program(from, to)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTold(t *testing.T) {
	for name, test := range map[string]struct {
		from, to string
		want     []control.Change
	}{
		"the same":       {`{"A":1}`, `{"A":1}`, nil},
		"other spelling": {`{"A":1,"B":null}`, `{ "A": 1 }`, nil},
		"a sign":         {`{"A":""}`, `{"A":"a > b"}`, []control.Change{{Key: "a", To: `"a > b"`}}},
		"a hook": {
			`{"Hooks":[{"Name":"page","Run":["a"],"Timeout":1000000000,"URL":""}]}`,
			`{"Hooks":[{"Name":"page","Run":["a","b"],"Timeout":2000000000,"URL":"http://token@x"}]}`,
			[]control.Change{
				{Key: "hook.page.run", From: `["a"]`, To: `["a","b"]`},
				{Key: "hook.page.timeout", From: "1s", To: "2s"},
				{Key: "hook.page.url", To: Masked},
			},
		},
		"a log begins":   {`{"Logs":null}`, `{"Logs":[{"Pool":"web","Path":"/x"}]}`, []control.Change{{Key: "log.web.path", To: `"/x"`}}},
		"a command ends": {`{"Commands":[{"Name":"flush","Usage":"[KEY]"}]}`, `{"Commands":null}`, []control.Change{{Key: "command.flush.args", From: `"[KEY]"`}}},
		"a password":     {`{"Shell":{"PasswordHash":"x"}}`, `{"Shell":{"PasswordHash":"y"}}`, []control.Change{{Key: "shell.password_hash", From: Masked, To: Masked}}},
		"from nothing":   {``, `{"A":true}`, []control.Change{{Key: "a", To: "true"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(test.want, Told([]byte(test.from), []byte(test.to))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
