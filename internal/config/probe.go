package config

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/norestart/norestart/control"
)

// checkProbes looks at how the processes of a pool are asked.
func (r *reader) checkProbes(p *Pool) {
	r.checkReadyProbe(p)
	l := p.Live
	if l == nil {
		return
	}
	given := 0
	for _, key := range []string{"http", "tcp", "exec"} {
		if l.has[key].Name != "" {
			given++
		}
	}
	switch {
	case given != 1:
		r.at(&l.table, "", "want one of http, tcp and exec")
	case l.HTTP == "" && l.Host != "":
		r.at(&l.table, "host", "it goes with http")
	}
	if p.Restart == string(control.Never) {
		r.at(&l.table, "", `restart = "never" does not replace a worker: leave out one of the two`)
	}
	r.checkAddress(p, &l.table, "http", l.HTTP)
	r.checkAddress(p, &l.table, "tcp", l.TCP)
}

func (r *reader) checkReadyProbe(p *Pool) {
	for _, k := range []struct{ key, ready string }{{"ready_http", "http"}, {"ready_host", "http"}, {"ready_tcp", "tcp"}} {
		if _, said := p.has[k.key]; said && p.Ready != k.ready {
			r.at(&p.table, k.key, "it goes with ready = %q", k.ready)
		}
	}
	key, text := "ready_"+p.Ready, p.ReadyHTTP
	switch p.Ready {
	case "http":
		p.ReadyHTTP = cmp.Or(text, "/")
	case "tcp":
		text = p.ReadyTCP
		p.ReadyTCP = cmp.Or(text, control.TCPPort)
	default:
		return
	}
	if text == "" {
		key, text = "ready", cmp.Or(p.ReadyHTTP, p.ReadyTCP)
	}
	if r.checkAddress(p, &p.table, key, text) && !p.readyProbe().Own() && p.MaxSurge >= 0 {
		r.at(&p.table, "max_surge", `with ready = %q at an address that stays, the process before would answer for its successor: want max_surge = 0`, p.Ready)
	}
}

// checkAddress looks whether what is asked at an address is one process and no other
// of its pool.
func (r *reader) checkAddress(p *Pool, t *table, key, text string) bool {
	if text == "" {
		return true
	}
	own := strings.HasPrefix(text, "/") || text == control.TCPPort
	addr, err := addressIn(text)
	was := len(r.bad)
	switch {
	case own && p.Share == control.ShareRelay:
	case p.Share == control.ShareSeize && (own || p.listensOn(addr)):
		r.at(t, key, `with share = "seize" nobody listens on the PORT of a process, and at the address of the pool any of them answers: want %s`, instead(key))
	case own && len(p.Listen) > 0:
		r.at(t, key, `any worker of the pool answers on a socket that they share, so it proves nothing: want share = "relay", or %s`, instead(key))
	case text == control.TCPPort:
		r.at(t, key, `only share = "relay" tells each process a PORT: want an address, as "127.0.0.1:8081"`)
	case own:
		r.at(t, key, `only with share = "relay" a process has a PORT for %q: want a URL, as "http://127.0.0.1:8081%s"`, text, text)
	case err != nil:
		r.at(t, key, "%q: %v", text, err)
	case p.listensOn(addr):
		r.at(t, key, `any worker of the pool answers on %s, which they share, so it proves nothing: want an address of the process itself, share = "relay", or %s`, addr, instead(key))
	case p.Workers != 1:
		r.at(t, key, `one address cannot tell %s workers from each other: want workers = 1, share = "relay", or %s`, countOf(p.Workers), instead(key))
	}
	return len(r.bad) == was
}

func countOf(n Workers) string {
	if n == control.Auto {
		return "many"
	}
	return strconv.Itoa(int(n))
}

// instead is what proves something in the place of a probe.
func instead(key string) string {
	if strings.HasPrefix(key, "ready") {
		return `ready = "notify" or "log"`
	}
	return "exec = [PROGRAM]"
}

// addressIn reads the address of this machine in a URL or of a connection.
func addressIn(text string) (string, error) {
	if !strings.Contains(text, "://") {
		return text, checkHostPort(text)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.User != nil {
		return "", errors.New(`want a URL as "http://127.0.0.1:8081/healthz"`)
	}
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), "80")
	}
	return addr, checkHostPort(addr)
}

func checkHostPort(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	n, bad := strconv.ParseUint(port, 10, 16)
	if _, no := netip.ParseAddr(host); err != nil || bad != nil || n == 0 || no != nil && host != "localhost" {
		return errors.New(`want an address of this machine and a port, as "127.0.0.1:8081"`)
	}
	return nil
}

// listensOn tells whether a port is one that the pool listens on.
func (p *Pool) listensOn(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	for _, l := range p.Listen {
		if err == nil && strings.Contains(l, "tcp://") && strings.HasSuffix(l, ":"+port) {
			return true
		}
	}
	return false
}
