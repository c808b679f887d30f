package users

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"
)

// Sources is a list of patterns of addresses: from="…" of a key (sshd(8),
// PATTERNS of ssh_config(5)). It holds no host names: a login must neither wait
// for the DNS nor believe it.
type Sources struct{ patterns []sourcePattern }

type sourcePattern struct {
	negated bool
	network netip.Prefix
	glob    string // with * or ?, matched against the address as text
}

// ParseSources reads a list such as "10.0.0.0/8,!10.0.0.66,192.168.1.*".
func ParseSources(list string) (*Sources, error) {
	var s Sources
	positive := false
	for _, text := range strings.Split(list, ",") {
		p, err := parseSource(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		s.patterns = append(s.patterns, p)
		positive = positive || !p.negated
	}
	if !positive {
		return nil, errors.New("only exceptions (!), so no address would match: add *")
	}
	return &s, nil
}

func parseSource(text string) (p sourcePattern, err error) {
	text, p.negated = strings.CutPrefix(text, "!")
	switch {
	case text == "":
		return p, errors.New("an address is empty")
	case strings.Trim(text, "0123456789.*?") == "" && strings.ContainsAny(text, "*?"):
		p.glob = text // an IPv6 address has several texts, so * would be a trap
		return p, nil
	}
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		p.network, err = addr.Unmap().Prefix(addr.Unmap().BitLen())
		return p, err
	}
	network, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8; names of hosts are not looked up", clip(text))
	case network.Addr().Is4In6():
		return p, fmt.Errorf("%s is an IPv4 network in IPv6 form: write it as IPv4", network)
	case network.Masked() != network:
		return p, fmt.Errorf("%s has bits beyond its mask: write %s", network, network.Masked())
	}
	p.network = network
	return p, nil
}

// Match reports whether addr is in the list. An exception always wins.
func (s *Sources) Match(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	found := false
	for _, p := range s.patterns {
		if !p.match(addr) {
			continue
		}
		if p.negated {
			return false
		}
		found = true
	}
	return found
}

func (p sourcePattern) match(addr netip.Addr) bool {
	if !addr.IsValid() {
		return false
	}
	if p.glob == "" {
		return p.network.Contains(addr)
	}
	ok, err := path.Match(p.glob, addr.String()) // an address has no slash
	return ok && err == nil
}
