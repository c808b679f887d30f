package mail

import (
	"net/rpc"
	"sync/atomic"
	"testing"
)

// Echo is a service of net/rpc, which is held against.
type Echo struct{}

// Take handles a message.
func (Echo) Take(_ []byte, _ *struct{}) error { return nil }

// BenchmarkSend: 16 senders, messages of 100 bytes, each answered when it is handled;
// beside it a call of net/rpc over the same kind of socket.
func BenchmarkSend(b *testing.B) {
	data := make([]byte, 100)
	for _, way := range []struct {
		name  string
		start func(b *testing.B) (send func() error)
	}{
		{"mail", func(b *testing.B) func() error {
			s := newSlot(b)
			s.wg.Go(func() {
				for {
					m, err := s.inbox.Receive(b.Context())
					if err != nil {
						return
					}
					m.Done()
				}
			})
			return func() error { return s.out.Send(b.Context(), "jobs/0", data) }
		}},
		{"net/rpc", func(b *testing.B) func() error {
			server := rpc.NewServer()
			if err := server.Register(Echo{}); err != nil {
				b.Fatal(err)
			}
			ours, theirs := pair(b)
			go server.ServeConn(theirs)
			client := rpc.NewClient(ours)
			b.Cleanup(func() { _ = client.Close() })
			return func() error { return client.Call("Echo.Take", data, &struct{}{}) }
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			send := way.start(b)
			var failed atomic.Pointer[error]
			b.SetParallelism(8) // × 2 processors
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := send(); err != nil {
						failed.Store(&err)
						return
					}
				}
			})
			if err := failed.Load(); err != nil {
				b.Fatal(*err)
			}
		})
	}
}
