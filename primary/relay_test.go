package primary

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/norestart/norestart/control"
)

// TestReadyByDial: a process under relay is told a port, and is ready when that
// accepts, at whichever loopback address.
func TestReadyByDial(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1", "0.0.0.0"} {
		t.Run(host, func(t *testing.T) {
			l, slots, events := programs(t)
			l.spawn = &spawner{}
			s, r := slots[0], slots[0].processes[1]
			s.pool.spec.Share, s.pool.spec.Protocol, s.cur.ready = control.ShareRelay, control.ProtocolListen, false
			equip := foreign{}.equip(l, s, r)
			e, err := equip()
			must(t, err)
			defer e.close()
			defer r.letIn(false)
			if told := e.withPort(program{argv: []string{"app", "--bind=:{port}"}}); r.private != "127.0.0.1:"+e.port || told.argv[1] != "--bind=:"+e.port || told.env[0] != "PORT="+e.port {
				t.Errorf("private %s, told %q", r.private, told)
			}
			l.readyByDial(s, r)
			(<-events)(l)
			if s.cur.ready {
				t.Fatal("it is ready before it listens")
			}
			ln, err := net.Listen("tcp", net.JoinHostPort(host, e.port))
			if err != nil && strings.Contains(host, ":") {
				t.Logf("no IPv6: %v", err)
				return
			}
			must(t, err)
			defer ln.Close()
			deadline := time.After(30 * time.Second)
			for !s.cur.ready {
				select {
				case event := <-events:
					event(l)
				case <-deadline:
					t.Fatal("never ready")
				}
			}
			want := net.JoinHostPort(host, e.port)
			if host == "0.0.0.0" {
				want = "127.0.0.1:" + e.port
			}
			if rec := s.processRecord(s.cur); rec.Private != want || s.info(time.Now()).Private != want {
				t.Errorf("private %q on record, want %s", rec.Private, want)
			}
			if port, err := strconv.Atoi(e.port); err != nil || port < firstPrivate {
				t.Errorf("port %s", e.port)
			}
			l.spawn.wg.Wait()
		})
	}
}
