package doctor

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/inherit"
)

// Finding is one thing that was looked at.
type Finding struct {
	About string `json:"about"`
	Bites bool   `json:"bites"` // sooner or later something fails
	Text  string `json:"text"`
	Mend  string `json:"mend,omitempty"` // what to do, also where it only could be better
}

// Cluster is what is to run.
type Cluster struct {
	Name    string
	Dirs    dirs.Dirs // zero: not known
	Runs    bool      // now: its addresses are its own
	Workers int       // of all pools
	Listen  []Address
	Units   []string // directories in which units of systemd are
}

// Address is one that a pool, or the shell, listens on.
type Address struct {
	Pool   string
	Listen inherit.Listen
	Share  string
}

// Look looks at everything.
func Look(c Cluster) []Finding {
	d := &doctor{cluster: c}
	d.kernel()
	d.limits()
	d.addresses()
	d.directories()
	d.units()
	d.clock(time.Now())
	return d.found
}

type doctor struct {
	cluster Cluster
	found   []Finding
}

func (d *doctor) well(about, format string, args ...any) {
	d.found = append(d.found, Finding{About: about, Text: fmt.Sprintf(format, args...)})
}

func (d *doctor) note(about, text, mend string) {
	d.found = append(d.found, Finding{About: about, Text: text, Mend: mend})
}

func (d *doctor) bites(about, text, mend string) {
	d.found = append(d.found, Finding{About: about, Bites: true, Text: text, Mend: mend})
}

// addresses listens on each for a moment.
func (d *doctor) addresses() {
	for _, a := range d.cluster.Listen {
		about := "address of " + a.Pool
		if d.cluster.Runs {
			d.well(about, "%s: the cluster runs", a.Listen)
			continue
		}
		if a.Listen.Path != "" {
			d.socketFile(about, a.Listen.Path)
			continue
		}
		g, err := inherit.Open(a.Listen, a.Share)
		if err != nil {
			d.bites(about, err.Error(), mendListen(err))
			continue
		}
		_ = g.Close() // nothing was accepted
		d.well(about, "%s is free", a.Listen)
	}
}

// socketFile looks whether a socket could be made: listening would replace one
// that is there.
func (d *doctor) socketFile(about, path string) {
	switch info, err := os.Lstat(path); {
	case err == nil && info.Mode()&os.ModeSocket == 0:
		d.bites(about, path+" is there and no socket", "remove it, or listen elsewhere")
	case err == nil:
		d.note(about, path+" is there", "see that nothing else listens on it: ss -xlp src "+path)
	default:
		d.mayWrite(about, path)
	}
}

// loopback is an address to try something on.
var loopback = inherit.Listen{TCP: netip.MustParseAddrPort("127.0.0.1:0")}
