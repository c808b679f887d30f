package app

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/primary"
	"github.com/norestart/norestart/shell"
)

// Names of the built-in pools.
const (
	ShellPool = "shell" // holds the admin port
	AgentPool = "agent" // see package agent
	RelayPool = "relay" // see package relay
)

// RelayListener is how the relay asks for the socket of an address of a pool.
func RelayListener(pool string, i int) string { return fmt.Sprintf("%s.%d", pool, i) }

// relayed moves the addresses of pools under control.ShareRelay to the pool that
// passes on, which it returns; without such a pool it has no address.
func relayed(pools []Pool) control.PoolSpec {
	relay := control.PoolSpec{
		Name: RelayPool, BuiltIn: true, Workers: 1, Share: control.ShareOne, MaxOutgoing: 4, // connections go on in a replaced one
	}
	for i := range pools {
		s := &pools[i].Spec
		if s.Share != control.ShareRelay {
			continue
		}
		for k, text := range s.Listen {
			listen, _ := inherit.Parse(text) // checked
			listen.Name = RelayListener(s.Name, k)
			relay.Listen = append(relay.Listen, listen.String())
		}
		s.Listen = nil
		d := s.WithDefaults() // when the cluster stops, the relay ends after them
		relay.DrainTimeout = max(relay.DrainTimeout, d.LameDuck+d.DrainTimeout+d.KillAfter)
	}
	return relay
}

// spec is the application as data for the primary, with the users of its pools
// looked up; run is the directory where workers find the primary.
func (app App) spec(run string) (control.Spec, error) {
	s := control.Spec{Name: app.Name}
	pools := slices.Clone(app.Pools)
	if slices.ContainsFunc(pools, func(p Pool) bool { return p.Spec.Program != nil }) {
		s.Agent = AgentPool
		pools = append(pools, Pool{Spec: control.PoolSpec{
			Name: AgentPool, BuiltIn: true, Workers: 1, Share: control.ShareOne, Listen: app.Agent.Listen, Grant: control.GrantControl,
			MaxOutgoing: 4, LameDuck: -1, DrainTimeout: 5 * time.Second, // commands go on in a replaced one
		}})
	}
	if relay := relayed(pools); len(relay.Listen) > 0 {
		s.Relay = RelayPool
		pools = append(pools, Pool{Spec: relay})
	}
	if app.Shell != nil {
		s.Admin = ShellPool
		pools = append(pools, Pool{User: app.Shell.User, Group: app.Shell.Group, Spec: control.PoolSpec{
			Name: ShellPool, BuiltIn: true, Workers: 1, Share: control.ShareOne,
			Listen: []string{"tcp://" + adminAddr(app.Shell)}, Grant: control.GrantControl,
			MaxOutgoing: 4, LameDuck: -1, DrainTimeout: 5 * time.Second,
		}})
	}
	for _, p := range pools {
		as, err := identityOf(p.User, p.Group)
		if err == nil && as != nil {
			err = reachable(run, as)
		}
		if err != nil {
			return s, fmt.Errorf("pool %s: %w", p.Spec.Name, err)
		}
		p.Spec.RunAs = as
		if own := p.Spec.Program; own != nil {
			program := *own
			program.Env = programEnv(own.Env)
			p.Spec.Program = &program
		}
		s.Pools = append(s.Pools, p.Spec)
	}
	return s, nil
}

// programEnv is the environment of another program: the lasting part of the
// primary's, and its own.
func programEnv(own []string) []string {
	env := slices.Clone(own)
	for _, v := range primary.Lasting(primary.CleanEnv(os.Environ())) {
		name, _, _ := strings.Cut(v, "=")
		if !slices.ContainsFunc(own, func(o string) bool { return strings.HasPrefix(o, name+"=") }) {
			env = append(env, v)
		}
	}
	return env
}

// adminAddr is the address that the admin port listens on, as net.Listen takes
// it.
func adminAddr(c *shell.Config) string {
	host, port := c.Host, c.Port
	if host == "" {
		host = "127.0.0.1"
	}
	switch {
	case port == 0:
		port = 7777
	case port < 0:
		port = 0
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}
