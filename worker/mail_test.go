package worker

import (
	"context"
	"encoding/json"
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
