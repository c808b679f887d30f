package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/worker/internal/mail"
)

// sendTo is an outbox whose streams go to the mailbox of one worker.
func (p *primary) sendTo(w *peer) *mail.Outbox {
	var wg sync.WaitGroup
	living, cancel := context.WithCancel(context.Background())
	p.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	dial := func(_ context.Context, _ string, peer uint64) (net.Conn, []uint64, error) {
		theirs, ours := unixPair(p.t)
		err := w.conn.Send(soon, ipc.TypeMail, ipc.Mail{From: "jobs/1", Incarnation: 9, Peer: peer}, theirs)
		must(p.t, unix.Close(theirs))
		conn := ipc.NewConn(fileConn(p.t, ours).(*net.UnixConn))
		var m ipc.Message
		if err == nil {
			m, err = conn.Receive(soon)
		}
		if err != nil {
			_ = conn.Close()
			return nil, nil, control.ErrNoWorker // it has ended
		}
		var box ipc.Mailbox
		must(p.t, m.Decode(&box))
		stream, err := conn.Stream()
		return stream, box.Lines, err
	}
	return &mail.Outbox{Dial: dial, Lasting: lasting, Living: living, Go: func(f func()) { wg.Go(f) }}
}

// TestMailboxIsAway: a sender is refused while a successor has the marks, so that it
// asks less and less often.
func TestMailboxIsAway(t *testing.T) {
	p := newPrimary(t)
	worker := make(chan *Worker, 1)
	peer := p.first(func(ctx context.Context, w *Worker) error {
		w.Mailbox()
		w.Ready()
		worker <- w
		<-ctx.Done()
		return nil
	})
	ask := func() string {
		theirs, ours := unixPair(t)
		err := peer.conn.Send(soon, ipc.TypeMail, ipc.Mail{From: "jobs/1", Incarnation: 9, Peer: 1}, theirs)
		must(t, errors.Join(err, unix.Close(theirs)))
		conn := ipc.NewConn(fileConn(t, ours).(*net.UnixConn))
		defer conn.Close()
		m, err := conn.Receive(soon)
		must(t, err)
		m.Discard()
		return m.Type
	}
	w := <-worker
	w.mail.letGo()
	if got := ask(); got != ipc.TypeRefused {
		t.Errorf("it answers %q while it is away", got)
	}
	w.mail.resume()
	if got := ask(); got != ipc.TypeMailbox {
		t.Errorf("it answers %q when it goes on", got)
	}
}

// TestLastAnswer: what was handled just before the worker ended was answered.
func TestLastAnswer(t *testing.T) {
	for range 50 {
		p := newPrimary(t)
		w := p.first(func(ctx context.Context, w *Worker) error {
			mailbox := w.Mailbox()
			w.Ready()
			m, err := mailbox.Receive(ctx)
			if err == nil {
				m.Done()
			}
			return err
		})
		if err := p.sendTo(w).Send(t.Context(), "web/2", nil); err != nil {
			t.Fatal(err)
		}
		if err := w.exited(); err != nil {
			t.Error(err)
		}
	}
}

// TestMessageKeepsItsHandler: one that is in hand while modules are reloaded ends
// under the version with which it began; that of another sender sees the new one.
func TestMessageKeepsItsHandler(t *testing.T) {
	p := newPrimary(t)
	began, end, loads := make(chan int, 2), make(chan struct{}), 0
	m := Module{Version: "v1.0.0"}
	worker := make(chan *Worker, 1)
	peer := p.first(func(ctx context.Context, w *Worker) error {
		box := w.Mailbox()
		m.Init = func(_ context.Context, s *Scope) error {
			loads++
			load := loads
			s.HandleMessages(box, func(_ context.Context, m *Message) error {
				began <- load
				if string(m.Data) == "wait" {
					<-end
				}
				if s.Context().Err() != nil {
					return errors.New("its version has retired")
				}
				return fmt.Errorf("load %d", load)
			})
			return nil
		}
		must(t, w.Register("jobs", m))
		w.Ready()
		worker <- w
		<-ctx.Done()
		return nil
	})
	w, out, first := <-worker, p.sendTo(peer), make(chan error, 1)
	go func() { first <- out.Send(context.Background(), "web/2", []byte("wait")) }()
	if load := <-began; load != 1 {
		t.Fatalf("load %d handles the first message", load)
	}
	must(t, w.reloadModules(t.Context(), nil))
	if err := out.Send(t.Context(), "web/3", nil); err == nil || !strings.HasSuffix(err.Error(), "refused: load 2") {
		t.Errorf("another sender: %v", err)
	}
	close(end)
	if err := <-first; err == nil || !strings.HasSuffix(err.Error(), "refused: load 1") {
		t.Errorf("the first message: %v", err)
	}
	must(t, w.Unregister("jobs"))
	if err := out.Send(t.Context(), "web/2", nil); !errors.Is(err, control.ErrNoHandler) {
		t.Errorf("a message without a handler: %v", err)
	}
}

// TestMailboxIsNoModule: an operator sees no module, and a reload of all modules
// leaves the mailbox alone.
func TestMailboxIsNoModule(t *testing.T) {
	p := newPrimary(t)
	_, m := counting("v1.0.0")
	w := p.first(func(ctx context.Context, w *Worker) error {
		w.Mailbox()
		must(t, w.Register("counter", m))
		w.Ready()
		<-ctx.Done()
		return nil
	})
	r := p.question(w, control.HandlerModules)
	var infos []control.ModuleInfo
	must(t, json.Unmarshal(r.Body, &infos))
	for _, i := range infos {
		if strings.HasPrefix(i.Name, control.HandlerPrefix) {
			t.Errorf("module list names %s", i.Name)
		}
	}
	p.ask = ipc.Question{Handler: control.HandlerModulePrepare, Args: []string{"x", mailModule}, Timeout: soon}
	w.send(ipc.TypeInvite, ipc.Invite{Token: "x"})
	if r := <-p.reply; r.Err() == nil {
		t.Error("the mailbox was reloaded as a module")
	}
}
