package primary

import (
	"context"
	"fmt"
	"strings"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// passMail gives the conversation of a worker to the mailbox of another. From then on
// the primary has no part in it: no message passes through it, and its end stops
// none.
func (p *Primary) passMail(ctx context.Context, conn *ipc.Conn, k known) error {
	m, err := conn.Receive(ipc.HelloTimeout)
	if err != nil {
		return nil // the worker hung up
	}
	var mail ipc.Mail
	if err := m.Decode(&mail); err != nil {
		return err
	}
	if !strings.Contains(mail.To, "/") {
		slots, err := ask(ctx, p, func(l *loop) (ipc.Slots, error) { return l.mailboxes(mail.To) })
		if err != nil {
			return err
		}
		_ = conn.Send(ipc.SendTimeout, ipc.TypeSlots, slots) // else it has gone
		return nil
	}
	to := ipc.Mail{From: k.slot.id(), Incarnation: k.inc, Peer: mail.Peer}
	return p.pass(ctx, conn, ipc.TypeMail, to, func(l *loop) (*conversation, error) { return l.mailbox(mail.To) })
}

// mailbox is the conversation of the worker that has the mailbox of a slot now.
func (l *loop) mailbox(slot string) (*conversation, error) {
	s, err := l.slot(slot)
	if err != nil {
		return nil, err
	}
	if err := s.pool.takesMail(); err != nil {
		return nil, err
	}
	r := s.answering()
	if r == nil || !r.conv.lasts() || r.conv.crowded() {
		return nil, &control.Error{Code: control.ErrUnavailable.Code, Message: fmt.Sprintf("worker %s is not ready", slot)}
	}
	return r.conv, nil
}

func (p *pool) takesMail() error {
	if p.spec.Protocol == control.ProtocolLibrary {
		return nil
	}
	return &control.Error{Code: control.ErrNoHandler.Code, Message: fmt.Sprintf("workers of %s take no messages: they are another program", p.spec.Name)}
}

// mailboxes are the slots of a pool.
func (l *loop) mailboxes(name string) (all ipc.Slots, err error) {
	p, err := l.pool(name)
	if err == nil {
		err = p.takesMail()
	}
	if err != nil {
		return all, err
	}
	all.Slots = p.target
	for _, s := range p.slots {
		if s.visible() && s.answering() != nil {
			all.Ready = append(all.Ready, s.index)
		}
	}
	return all, nil
}
