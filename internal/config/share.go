package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/norestart/norestart/control"
)

// portWord stands for the port of a process in its command.
const portWord = "{port}"

// checkShare looks whether what a pool says of its sockets goes together.
func (r *reader) checkShare(p *Pool) {
	named := slices.ContainsFunc(p.Command, func(arg string) bool { return strings.Contains(arg, portWord) })
	if p.ListenEnv != "" && len(p.Listen) == 0 {
		r.at(&p.table, "listen_env", "there are no sockets to tell of: say listen")
	}
	if !private(p.Share) {
		if p.Ready == "listen" {
			r.at(&p.table, "ready", `"listen" is for share = "seize" or "relay"`)
		}
		if named {
			r.at(&p.table, "command", `%s is for share = "seize" or "relay"`, portWord)
		}
	} else {
		r.checkPrivate(p)
	}
	if p.Share != control.ShareRelay && p.ProxyProtocol != "" {
		r.at(&p.table, "proxy_protocol", `it is for share = "relay": otherwise the program sees its client itself`)
	}
	if p.Share != control.ShareRelay && p.Forwarded {
		r.at(&p.table, "forwarded", `it is for share = "relay": otherwise the program sees its client itself`)
	}
	if p.ProxyProtocol != "" && p.Forwarded {
		r.at(&p.table, "forwarded", `want it or proxy_protocol, which is for one client a connection`)
	}
}

// private tells whether each process is told a port of its own.
func private(share string) bool { return share == control.ShareSeize || share == control.ShareRelay }

// checkPrivate looks at a pool whose processes are told a port.
func (r *reader) checkPrivate(p *Pool) {
	seized := p.Share == control.ShareSeize
	switch _, said := p.has["ready"]; {
	case !said:
		p.Ready = "listen"
	case p.Ready == "timer" || p.Ready == "exec":
		r.at(&p.table, "ready", `with share = %q want "listen", "notify" or "log": until it listens nobody accepts`, p.Share)
	}
	switch {
	case seized && (len(p.Listen) != 1 || !strings.Contains(p.Listen[0], "tcp://")):
		r.at(&p.table, "listen", `with share = "seize" want the one address that clients use, as ["tcp://:8080"]`)
	case len(p.Listen) == 0:
		r.at(&p.table, "listen", `with share = "relay" want the address that clients use, as ["tcp://:8080"]`)
	}
	if p.ListenEnv != "" {
		r.at(&p.table, "listen_env", `share = %q is for programs that take no sockets`, p.Share)
	}
	if seized && p.NewPrivileges {
		r.at(&p.table, "new_privileges", `share = "seize" needs a program without: with share = "relay" it may have them`)
	}
	if _, ok := p.Env["PORT"]; ok {
		r.at(&p.table, "env", `PORT is what share = %q sets: leave it out`, p.Share)
	}
}

// opens is what in a command says that the program opens a port itself.
var opens = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:^| )(?:--?(?:b|bind|p|port|listen|http)[ =]|runserver )(?:\S*?[:=])?(\d{2,5})?\b|:(\d{2,5})\b`)
})

// OpensPort tells whether a command says that its program opens a port itself, and
// where the number of it stands in the words, joined by spaces; start is -1 if it
// names none.
func OpensPort(command []string) (start, end int, ok bool) {
	m := opens().FindStringSubmatchIndex(strings.Join(command, " "))
	switch {
	case m == nil:
		return -1, -1, false
	case m[2] >= 0:
		return m[2], m[3], true
	}
	return m[4], m[5], true
}

// Hints say of each pool what it might rather want. They are no errors.
func (f *File) Hints() (all []string) {
	for _, p := range f.Pools {
		_, _, opens := OpensPort(p.Command)
		told := slices.ContainsFunc(p.environ, func(v string) bool { return strings.HasPrefix(v, "PORT=") })
		switch {
		case private(p.Share) || !opens && !told:
		case len(p.Listen) > 0:
			all = append(all, fmt.Sprintf(`pool %s: share = %q is for a program that takes its socket as from systemd (LISTEN_FDS); if it opens the port of its command or of PORT, say share = "seize"`, p.Name, p.Share))
		default:
			all = append(all, fmt.Sprintf(`pool %s: it opens its port itself, so only one process can; with share = "seize" and that address in listen it is replaced without a gap`, p.Name))
		}
	}
	return all
}
