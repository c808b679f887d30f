package builtin

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
)

func TestConfigDiff(t *testing.T) {
	f := &fake{differs: []control.PoolChanges{
		{Follows: control.FollowsStop, Changes: []control.Change{{Key: "name", From: "a", To: "b", Follows: control.FollowsStop}}},
		{Pool: "web", Workers: 2, Follows: control.FollowsReload, Changes: []control.Change{
			{Key: "env.A", To: "***", Follows: control.FollowsReload}, {Key: "workers", From: "1", To: "2", Follows: control.FollowsLive},
		}},
		{Pool: "one", Workers: 1, Follows: control.FollowsLive, Changes: []control.Change{{Key: "restart", From: "always", To: "never", Follows: control.FollowsLive}}},
		{Pool: "new", Workers: 1, Follows: control.FollowsBegin, Changes: []control.Change{{Key: "command", To: `["a"]`, Follows: control.FollowsBegin}}},
		{Pool: "old", Follows: control.FollowsEnd},
		{Pool: "shell", Workers: 1, Follows: control.FollowsRestart, Changes: []control.Change{{Key: "env.A", To: "***", Follows: control.FollowsReload}}},
	}}
	want := `the cluster: refused: it takes a stop and a start
  name a -> b
web: 2 workers would be replaced by a new generation
  env.A added
  workers 1 -> 2, at once
one: changes without replacing workers
  restart always -> never
new: new, 1 worker
  command - -> ["a"]
old: ends, 0 workers
shell: refused: it takes a restart
  env.A added, by a new generation
`
	if d := cmp.Diff(want, newSession(t, f).do(t.Context(), "config diff").Out); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := newSession(t, &fake{}).do(t.Context(), "config diff").Out; got != "no difference\n" {
		t.Errorf("%q", got)
	}
}
