package app

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/inherit"
)

// isPoolName is a loop because every process of the application would compile a
// regular expression at its start.
func isPoolName(name string) bool {
	ok := name != "" && len(name) <= 32
	for i, r := range name {
		switch {
		case r >= 'a' && r <= 'z':
		case i > 0 && (r >= '0' && r <= '9' || r == '_' || r == '-'):
		default:
			ok = false
		}
	}
	return ok
}

// check refuses an App that cannot run, with the names of its fields.
func (app App) check() error {
	if err := dirs.CheckName(app.Name); err != nil {
		return err
	}
	relays := slices.ContainsFunc(app.Pools, func(p Pool) bool { return p.Spec.Share == control.ShareRelay })
	seen := map[string]bool{ShellPool: true, AgentPool: true, RelayPool: relays}
	for i, p := range app.Pools {
		switch {
		case !isPoolName(p.Spec.Name):
			return fmt.Errorf("pool %d: name %q: must be at most 32 of a-z 0-9 _ - and begin with a letter", i, p.Spec.Name)
		case seen[p.Spec.Name]:
			return fmt.Errorf("pool %s: the name is taken", p.Spec.Name)
		case p.Run == nil && p.Spec.Program == nil:
			return fmt.Errorf("pool %s: it has no Run", p.Spec.Name)
		}
		seen[p.Spec.Name] = true
		if err := checkPool(p.Spec.WithDefaults()); err != nil {
			return fmt.Errorf("pool %s: %w", p.Spec.Name, err)
		}
	}
	return nil
}

// checkPrivate refuses what does not go with a program that opens a port that it is
// told, or with another one.
func checkPrivate(s control.PoolSpec) error {
	switch seized, relayed := s.Share == control.ShareSeize, s.Share == control.ShareRelay; {
	case !seized && !relayed && s.Protocol == control.ProtocolListen:
		return fmt.Errorf("protocol %s: must go with share %s or %s", s.Protocol, control.ShareSeize, control.ShareRelay)
	case relayed && len(s.Listen) == 0:
		return fmt.Errorf("share %s: must have an address to listen on", s.Share)
	case !seized:
		return nil
	case s.Protocol == control.ProtocolMute && s.ReadyLine == "":
		return fmt.Errorf("share %s: its protocol must be %s or %s, or it must have a ready line", s.Share, control.ProtocolListen, control.ProtocolNotify)
	case len(s.Listen) != 1 || !strings.Contains(s.Listen[0], "tcp://"):
		return fmt.Errorf("share %s: must have one address to listen on, as tcp://:8080", s.Share)
	case s.NewPrivileges:
		return fmt.Errorf("share %s: its workers cannot have new privileges", s.Share)
	}
	return nil
}

// checkProbes refuses what the agent could not ask.
func checkProbes(s control.PoolSpec) error {
	switch ready, live := s.ReadyProbe, s.Live; {
	case (ready != nil) != (s.Protocol == control.ProtocolProbe):
		return fmt.Errorf("protocol %s: it and a ready probe go together", control.ProtocolProbe)
	case (ready != nil || live != nil) && s.Program == nil:
		return errors.New("a probe is for a program of its own")
	case ready != nil && (ready.Every <= 0 || ready.Timeout <= 0), live != nil && (live.Every <= 0 || live.Timeout <= 0 || live.Fail <= 0):
		return errors.New("probe: Every, Timeout and Fail must be above 0")
	case live != nil && s.Policy == control.Never:
		return fmt.Errorf("a live probe does not go with policy %s", s.Policy)
	}
	return nil
}

func checkPool(s control.PoolSpec) error {
	switch {
	case s.Workers < 0 && s.Workers != control.Auto, s.Workers > s.MaxWorkers:
		return fmt.Errorf("%d workers: must be between 0 and %d", s.Workers, s.MaxWorkers)
	case s.Share != control.ShareSlots && s.Share != control.ShareOne && (s.Share != control.ShareSeize && s.Share != control.ShareRelay || s.Program == nil):
		return fmt.Errorf("share %q: must be %s or %s", s.Share, control.ShareSlots, control.ShareOne)
	case s.TTY && s.Program == nil:
		return errors.New("TTY is for a program of its own")
	case s.Policy != control.Always && s.Policy != control.OnFailure && s.Policy != control.Never:
		return fmt.Errorf("policy %q: must be %s, %s or %s", s.Policy, control.Always, control.OnFailure, control.Never)
	}
	if unix.SignalNum("SIG"+s.StopSignal) == 0 {
		return fmt.Errorf("stop signal %q: must be a name as TERM or INT", s.StopSignal)
	}
	if _, err := regexp.Compile(s.ReadyLine); err != nil {
		return fmt.Errorf("ready line: %w", err)
	}
	if err := errors.Join(checkPrivate(s), checkProbes(s)); err != nil {
		return err
	}
	if s.MaxSurge < control.NoSurge || s.MaxUnavailable < 0 {
		return fmt.Errorf("max surge %d, max unavailable %d: must be above 0, or control.NoSurge", s.MaxSurge, s.MaxUnavailable)
	}
	if s.Orphan != control.OrphanServe && s.Orphan != control.OrphanDrain && s.Orphan != control.OrphanExit {
		return fmt.Errorf("orphan %q: must be %s, %s or %s", s.Orphan, control.OrphanServe, control.OrphanDrain, control.OrphanExit)
	}
	if s.KillGroup != control.KillDescendants && s.KillGroup != control.KillOwnGroup {
		return fmt.Errorf("kill group %q: must be %s or %s", s.KillGroup, control.KillDescendants, control.KillOwnGroup)
	}
	for name, d := range map[string]time.Duration{
		"BackoffReset": s.BackoffReset, "Beat": s.Beat, "DrainTimeout": s.DrainTimeout, "KillAfter": s.KillAfter, "LostAfter": s.LostAfter,
		"MinReady": s.MinReady, "OrphanAfter": s.OrphanAfter, "MaxAge": s.MaxAge, "MaxMemoryFor": s.MaxMemoryFor, "ReadyAfter": s.ReadyAfter, "ReadyTimeout": s.ReadyTimeout, "Watch": s.Watch, "Within": s.Within,
	} {
		if d < 0 {
			return fmt.Errorf("%s is %v: must be above 0, or 0 for the default", name, d)
		}
	}
	if s.MaxMemory < 0 || s.MaxRequests < 0 {
		return fmt.Errorf("MaxMemory is %d, MaxRequests is %d: must be above 0, or 0 for none", s.MaxMemory, s.MaxRequests)
	}
	if s.BackoffMin < 0 || s.BackoffMin > s.BackoffMax {
		return fmt.Errorf("BackoffMin is %v: must be above 0 and at most BackoffMax, %v", s.BackoffMin, s.BackoffMax)
	}
	if s.LostAfter < 3*s.Beat {
		return fmt.Errorf("LostAfter is %v: must be at least three times Beat, %v", s.LostAfter, s.Beat)
	}
	for _, l := range s.Listen {
		if _, err := inherit.Parse(l); err != nil {
			return err
		}
	}
	return nil
}
