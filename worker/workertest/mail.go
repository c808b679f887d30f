package workertest

import (
	"fmt"
	"slices"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// passMail gives the conversation of a worker to the one that has the mailbox of the
// slot.
func (p *primary) passMail(conn *ipc.Conn, h ipc.Hello) error {
	m, err := conn.Receive(patience)
	if err != nil {
		return err
	}
	var mail ipc.Mail
	m.Discard()
	if err := m.Decode(&mail); err != nil {
		return err
	}
	if mail.To != h.Worker {
		return &control.Error{Code: control.ErrNoWorker.Code, Message: fmt.Sprintf("no worker %q: this test has %s alone", mail.To, h.Worker)}
	}
	to := p.serving()
	if to == nil {
		return control.ErrUnavailable
	}
	f, err := conn.File()
	if err != nil {
		return err
	}
	defer f.Close()
	fd, err := inherit.RawFD(f)
	if err != nil {
		return err
	}
	return to.conn.Send(ipc.SendTimeout, ipc.TypeMail, ipc.Mail{From: h.Worker, Incarnation: h.Incarnation, Peer: mail.Peer}, fd)
}

// serving is the last process that has become ready; nil: none has.
func (p *primary) serving() *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range slices.Backward(p.processes) {
		if isClosed(w.said[ipc.TypeReady]) {
			return w
		}
	}
	return nil
}
