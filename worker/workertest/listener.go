package workertest

import (
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/internal/inherit"
)

// listener is one of the pool's.
type listener struct {
	name  string
	group *inherit.Group
}

// listen opens the listeners of a pool at free addresses.
func listen(pool norestart.Pool, dir string) ([]listener, error) {
	var all []listener
	for i, text := range pool.Listen {
		l, err := inherit.Parse(text)
		var g *inherit.Group
		if err == nil {
			l = free(l, pool.Name, i, dir)
			g, err = inherit.Open(l, inherit.One)
		}
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, listener{l.Name, g})
	}
	return all, nil
}

// free is the address i of a pool with its name, where nobody listens.
func free(l inherit.Listen, pool string, i int, dir string) inherit.Listen {
	if l.Name = l.NameIn(pool, i); l.Path != "" {
		l.Path = filepath.Join(dir, l.Name+".sock")
	} else {
		l.TCP = netip.MustParseAddrPort("127.0.0.1:0")
	}
	return l
}

func closeAll(all []listener) {
	for _, l := range all {
		_ = l.group.Close() // nothing is left to be done
	}
}

// network and addr are those of package net.
func (l listener) network() string {
	network, _, _ := strings.Cut(l.group.Addr(), "://")
	return network
}

func (l listener) addr() string {
	_, addr, _ := strings.Cut(l.group.Addr(), "://")
	return addr
}
