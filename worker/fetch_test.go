package worker

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/norestart/norestart/internal/ipc"
)

// TestAcceptForOthers: a worker serves the connections that wait in another
// slot's socket when it is asked to, in whatever way it serves its own.
func TestAcceptForOthers(t *testing.T) {
	plain := func(c net.Conn) net.Conn { return c }
	for name, test := range map[string]struct {
		run    Run
		within func(net.Conn) net.Conn
	}{
		"HTTP":  {serving(&http.Server{Handler: http.HandlerFunc(answer)}), plain},
		"HTTPS": {servingSecured(&http.Server{Handler: http.HandlerFunc(answer)}), func(c net.Conn) net.Conn { return tls.Client(c, &tls.Config{InsecureSkipVerify: true}) }},
		"any server": {func(ctx context.Context, w *Worker) error {
			ln, err := w.Listener("web")
			if err != nil {
				return err
			}
			return w.Serve(ctx, ln, func(_ context.Context, c net.Conn) {
				_, _ = http.ReadRequest(bufio.NewReader(c))
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
			})
		}, plain},
	} {
		t.Run(name, func(t *testing.T) {
			s, other := socket(t), socket(t)
			w := newPrimary(t).start(test.run, s)
			w.await(ipc.TypeReady)
			w.send(ipc.TypeSockets, ipc.Sockets{Sockets: []ipc.Socket{{Name: "web", Slot: 5}}, Last: true}, other.FD(0))
			for range 2 { // the second time when it has been woken once
				var all []net.Conn
				for range 3 {
					c, _ := client(t, other)
					all = append(all, test.within(c))
				}
				w.send(ipc.TypeAccept, ipc.Accept{Listener: "web", Slots: []int{3, 5}})
				for _, c := range all {
					_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
					must(t, err)
					resp, err := io.ReadAll(c)
					if err != nil || len(resp) < 5 || string(resp[len(resp)-5:]) != "hello" {
						t.Errorf("%q, %v", resp, err)
					}
				}
			}
		})
	}
}
