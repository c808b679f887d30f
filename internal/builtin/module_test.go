package builtin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

func modular(replies ...control.CallReply) *fake {
	f := hello()
	f.modules = replies
	return f
}

const (
	oneModule = `[{"name":"cart","version":"v1.2.0","from":"v1.1.0","reloads":2,"last":3000000,"pause":12000000,"state_bytes":2048}]`
	newer     = `[{"name":"cart","version":"v1.3.0","reloads":0,"last":0,"pause":0,"state_bytes":0,"failed":"no \u001bledger","cooling":1}]`
)

func TestModules(t *testing.T) {
	for name, test := range map[string]struct {
		replies []control.CallReply
		line    string
		want    result
	}{
		"none": {nil, "module list", result{0, "no worker has modules\n", ""}},
		"alike": {[]control.CallReply{{Worker: "web/1", Data: []byte(oneModule)}, {Worker: "web/0", Data: []byte(oneModule)}}, "module list", result{0, lines(
			"MODULE  WORKERS  VERSION  RELOADS  PAUSE  LAST  STATE",
			"cart    web/*    v1.2.0   2        12ms   3ms   4096",
		), ""}},
		"different": {[]control.CallReply{{Worker: "web/1", Data: []byte(newer)}, {Worker: "web/0", Data: []byte(oneModule)}, {Worker: "web/2", Error: "no such handler"}}, "module list", result{0, lines(
			"MODULE  WORKERS  VERSION  RELOADS  PAUSE  LAST  STATE",
			"cart    web/0    v1.2.0   2        12ms   3ms   2048",
			"cart    web/1    v1.3.0   0        -      -     0",
			`web/1: its last reload was taken back: no \x1bledger`,
			"web/1: requests of 1 earlier versions are still under way",
		), ""}},
		"json": {[]control.CallReply{{Worker: "web/0", Data: []byte(oneModule)}}, "module list --json", result{0, lines(
			`{"version":1,"modules":[{"worker":"web/0","name":"cart","version":"v1.2.0","from":"v1.1.0","reloads":2,"state_bytes":2048,"last":0.003,"pause":0.012}]}`,
		), ""}},
		"unknown":      {[]control.CallReply{{Worker: "web/0", Data: []byte(oneModule)}}, "module reload card", result{2, "", lines(`error: module reload: no module "card"; one of cart`, "hint: help module reload")}},
		"no modules":   {nil, "module reload", result{1, "", lines("error: no worker has modules")}},
		"all reloaded": {[]control.CallReply{{Worker: "web/0", Data: []byte(oneModule)}}, "module reload cart", result{0, lines("MODULE  WORKERS  VERSION  RELOADS  PAUSE  LAST  STATE", "cart    web/*    v1.2.0   2        12ms   3ms   2048"), ""}},
		"one refused": {[]control.CallReply{{Worker: "web/0", Data: []byte(oneModule)}, {Worker: "web/1", Error: "module cart of web/1: AfterReload: no ledger"}}, "module reload", result{1, "", lines(
			"error: modules of 1 of 2 workers cannot be reloaded; nothing was changed",
			"  web/1: module cart of web/1: AfterReload: no ledger",
			"hint: module list",
		)}},
	} {
		t.Run(name, func(t *testing.T) {
			f := modular(test.replies...)
			s := newSession(t, f)
			if diff := cmp.Diff(test.want, s.do(t.Context(), test.line)); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(test.line, "module reload") || test.want.Status == 2 {
				return
			}
			decided := map[bool]string{true: "switch", false: "abandon"}[test.want.Status == 0]
			if asked := strings.Join(f.asked(), "\n"); (test.replies != nil) != strings.Contains(asked, "call web norestart.module "+decided) {
				t.Errorf("asked: %s", asked)
			}
		})
	}
}

// TestModulesPartial: all were prepared, and then one worker ended, one was
// replaced, and another one came.
func TestModulesPartial(t *testing.T) {
	ok := []byte(oneModule)
	f := modular(control.CallReply{Worker: "web/0", Data: ok}, control.CallReply{Worker: "web/1", Data: ok}, control.CallReply{Worker: "web/2", Data: ok})
	f.switched = []control.CallReply{{Worker: "web/0", Data: ok}, {Worker: "web/1", Error: "nothing is prepared"}, {Worker: "web/3", Error: "nothing is prepared"}}
	want := result{1, "", lines(
		"error: all workers were prepared, but 2 of 3 have not switched", "  web/1: nothing is prepared", "  web/2: it has ended", "hint: module list",
	)}
	if diff := cmp.Diff(want, newSession(t, f).do(t.Context(), "module reload")); diff != "" {
		t.Error(diff)
	}
}
