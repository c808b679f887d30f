package primary

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

// Broker is what the primary does in the state directory for a shell worker that
// cannot enter it: see [ipc.Broker]. It opens files by name and reads none of
// them.
type Broker struct {
	Read  []string // files that it may read
	Look  []string // files of which it may see the identity
	Enter []string // directories of its own
	// Record appends a record to the audit log; nil: the worker does it itself.
	Record func(record []byte) error
}

// prepareEvery bounds how often the state directory is prepared again: each time
// is a process.
const prepareEvery = time.Second

// serveBroker does one thing for a shell worker.
func (p *Primary) serveBroker(ctx context.Context, conn *ipc.Conn, k known) error {
	m, err := conn.Receive(ipc.HelloTimeout)
	if err != nil {
		return nil // the worker hung up
	}
	if k.pool.Name != p.cfg.Spec.Admin {
		return &control.Error{Code: control.ErrDenied.Code, Message: fmt.Sprintf("pool %s may not use the state directory", k.pool.Name)}
	}
	switch m.Type {
	case ipc.TypeOpen:
		return p.cfg.Broker.open(conn, m)
	case ipc.TypeRecord:
		if p.cfg.Broker.Record == nil {
			return control.ErrDenied
		}
		err = p.cfg.Broker.Record(m.Body)
	case ipc.TypePrepare:
		err = p.prepareAgain(ctx)
	default:
		return fmt.Errorf("%w: %s is not a request for a file of the state directory", control.ErrUsage, m.Type)
	}
	_ = conn.Send(ipc.SendTimeout, ipc.TypeReply, ipc.Reply{Failure: ipc.FailureOf(err)})
	return nil
}

// open gives the worker a descriptor of a file.
func (b Broker) open(conn *ipc.Conn, m ipc.Message) error {
	var ask ipc.OpenFile
	if err := m.Decode(&ask); err != nil {
		return err
	}
	flags, err := b.flags(ask)
	if err != nil {
		return err
	}
	fd, err := unix.Open(ask.Path, flags|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		_ = conn.Send(ipc.SendTimeout, ipc.TypeOpened, ipc.Opened{Missing: true})
		return nil
	case err != nil:
		_ = conn.Send(ipc.SendTimeout, ipc.TypeOpened, ipc.Opened{Failure: ipc.FailureOf(err)})
		return nil
	}
	defer unix.Close(fd)
	_ = conn.Send(ipc.SendTimeout, ipc.TypeOpened, ipc.Opened{}, fd)
	return nil
}

// flags are how a file is opened for the worker, if it may have it. One to look
// at cannot be read (open(2), O_PATH).
func (b Broker) flags(ask ipc.OpenFile) (int, error) {
	in := func(list []string) bool { return slices.Contains(list, ask.Path) }
	switch {
	case ask.How == ipc.OpenRead && in(b.Read):
		return unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY, nil
	case ask.How == ipc.OpenLook && (in(b.Read) || in(b.Look)):
		return unix.O_PATH, nil
	case ask.How == ipc.OpenEnter && in(b.Enter):
		return unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW, nil
	}
	return 0, &control.Error{Code: control.ErrDenied.Code, Message: fmt.Sprintf("%s is not a file that a shell worker may have, to %s", quoted(ask.Path), quoted(ask.How))}
}

// preparation is one run for all callers that asked before it began: so each
// waits for two at most.
type preparation struct {
	done chan struct{} // closed when it has ended, with err
	err  error
}

// prepareAgain has missing files made.
func (p *Primary) prepareAgain(ctx context.Context) error {
	if p.cfg.Prepare == nil {
		return control.ErrDenied
	}
	p.preparing.Lock()
	mine := p.nextPreparation
	if mine == nil {
		mine = &preparation{done: make(chan struct{})}
		p.nextPreparation = mine
		p.talks.Go(func() { p.runPreparation(ctx, mine) })
	}
	p.preparing.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// runPreparation runs one after the previous one has ended, and not too soon
// after it.
func (p *Primary) runPreparation(ctx context.Context, mine *preparation) {
	defer close(mine.done)
	select {
	case before := <-p.prepared:
		defer func() { p.prepared <- time.Now() }()
		select {
		case <-time.After(time.Until(before.Add(prepareEvery))):
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
	p.preparing.Lock()
	p.nextPreparation = nil // a later caller may miss something else
	p.preparing.Unlock()
	if mine.err = context.Cause(ctx); mine.err != nil {
		return
	}
	var admin string
	if admin, mine.err = ask(ctx, p, func(l *loop) (string, error) { return l.adminAddr(), nil }); mine.err == nil {
		mine.err = p.cfg.Prepare(admin, true)
	}
}

// prepare checks and makes what the admin port needs before anything is started.
func (p *Primary) prepare(l *loop) error {
	if _, err := l.pool(p.cfg.Spec.Admin); err != nil || p.cfg.Prepare == nil {
		return nil // there is no admin port
	}
	return p.cfg.Prepare(l.adminAddr(), false)
}

// adminAddr is the address of the admin port, open or not.
func (l *loop) adminAddr() string {
	pool, err := l.pool(l.cfg.Spec.Admin)
	if err != nil {
		return ""
	}
	if admin := l.admin(); admin != "" || len(pool.spec.Listen) == 0 {
		return admin
	}
	return strings.TrimPrefix(pool.spec.Listen[0], "tcp://") // a shell worker that outlived its primary holds it
}
