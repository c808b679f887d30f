package primary

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

func TestChangedVariables(t *testing.T) {
	tests := map[string]struct {
		before, now, want []string
	}{
		"the same":          {[]string{"A=1", "B=2"}, []string{"B=2", "A=1"}, nil},
		"another value":     {[]string{"A=1"}, []string{"A=2"}, []string{"A"}},
		"new and gone":      {[]string{"A=1"}, []string{"B=1"}, []string{"A", "B"}},
		"empty is not gone": {[]string{"A="}, nil, []string{"A"}},
		"of the start":      {[]string{"SHLVL=1", "INVOCATION_ID=a"}, []string{"SHLVL=2", "TERM=vt100"}, nil},
		"many":              {nil, []string{"D=", "C=", "B=", "A="}, []string{"A", "B", "C", "D"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(test.want, changed(test.before, test.now)); d != "" {
				t.Errorf("names (-want +got):\n%s", d)
			}
		})
	}
}

// TestSettingsOverTheRecord: what was written down and read again is the same.
func TestSettingsOverTheRecord(t *testing.T) {
	spec := control.PoolSpec{Limits: map[string]uint64{"nofile": 64}, RunAs: &control.Identity{UID: 1, GID: 2, Groups: []uint32{3}}}.WithDefaults()
	made := settingsOf(spec, []byte("{}"))
	data, err := ipc.Encode(made)
	must(t, err)
	var read settings
	must(t, ipc.Decode(data, &read))
	if read.differs(made) {
		t.Errorf("read as %+v, want %+v", read, made)
	}
	for name, change := range map[string]func(*control.PoolSpec){
		"limits":     func(s *control.PoolSpec) { s.Limits = map[string]uint64{"nofile": 65} },
		"user":       func(s *control.PoolSpec) { s.RunAs = nil },
		"privileges": func(s *control.PoolSpec) { s.NewPrivileges = true },
		"orphan":     func(s *control.PoolSpec) { s.Orphan = control.OrphanExit },
	} {
		other := spec
		change(&other)
		if !read.differs(settingsOf(other, nil)) {
			t.Errorf("another %s is not seen", name)
		}
	}
}
