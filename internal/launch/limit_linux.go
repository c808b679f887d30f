package launch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// resources are the limits that a plan may set (getrlimit(2)).
var resources = map[string]int{
	"as":     unix.RLIMIT_AS,
	"core":   unix.RLIMIT_CORE,
	"fsize":  unix.RLIMIT_FSIZE,
	"nofile": unix.RLIMIT_NOFILE,
	"nproc":  unix.RLIMIT_NPROC,
}

func checkLimits(limits map[string]uint64) error {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		if _, ok := resources[name]; !ok {
			known := slices.Sorted(maps.Keys(resources))
			return fmt.Errorf("unknown limit %.40q, want one of %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}

// raiseHard raises hard limits where the plan wants more than there is, which
// only a privileged process may do. Soft limits stay, so that the launcher
// itself is not bound yet.
func raiseHard(limits map[string]uint64) error {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		want, resource := limits[name], resources[name]
		var now syscall.Rlimit
		if err := syscall.Getrlimit(resource, &now); err != nil {
			return fmt.Errorf("get %s: %w", name, err)
		}
		if want <= now.Max {
			continue
		}
		err := setLimit(resource, syscall.Rlimit{Cur: now.Cur, Max: want})
		if err != nil {
			return fmt.Errorf("set %s %d > hard limit %d: %w", name, want, now.Max, err)
		}
	}
	return nil
}

// setLimits sets soft and hard limits to what the plan wants.
//
// It must use package syscall: Go's runtime raised the soft limit of nofile
// when it started and syscall.Exec sets it back to what it was, unless
// syscall.Setrlimit was told another.
func setLimits(limits map[string]uint64) error {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		want := limits[name]
		if err := setLimit(resources[name], syscall.Rlimit{Cur: want, Max: want}); err != nil {
			return fmt.Errorf("set %s %d: %w", name, want, err)
		}
	}
	return nil
}

func setLimit(resource int, limit syscall.Rlimit) error { return syscall.Setrlimit(resource, &limit) }
