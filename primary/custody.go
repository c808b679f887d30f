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

// Custody is what the worker of the admin port may have of the state directory
// through the primary, when it cannot enter it itself. The primary opens files
// by name and reads none of them.
type Custody struct {
	Read  []string // files of which it gets descriptors to read them
	Look  []string // files of which it may know which ones they are
	Enter []string // directories that are its own
	// Record puts a record on the audit log; nil: it writes the log itself.
	Record func(record []byte) error
}

// prepareEvery is how often the state directory is prepared again at most: each
// time is a process.
const prepareEvery = time.Second

// custody does one thing for the worker of the admin port.
func (p *Primary) custody(ctx context.Context, conn *ipc.Conn, k known) error {
	m, err := conn.Receive(ipc.HelloTimeout)
	if err != nil {
		return nil // it changed its mind
	}
	if k.pool.Name != p.cfg.Spec.Admin {
		return &control.Error{Code: control.ErrDenied.Code, Message: fmt.Sprintf("pool %s has no part in the state directory", k.pool.Name)}
	}
	switch m.Type {
	case ipc.TypeOpen:
		return p.cfg.Custody.open(conn, m)
	case ipc.TypeRecord:
		if p.cfg.Custody.Record == nil {
			return control.ErrDenied
		}
		err = p.cfg.Custody.Record(m.Body)
	case ipc.TypePrepare:
		err = p.prepareAgain(ctx)
	default:
		return fmt.Errorf("%w: %s is nothing in custody", control.ErrUsage, m.Type)
	}
	_ = conn.Send(ipc.SendTimeout, ipc.TypeReply, ipc.Reply{Failure: ipc.FailureOf(err)}) // it has gone
	return nil
}

// open gives the worker a descriptor of a file.
func (c Custody) open(conn *ipc.Conn, m ipc.Message) error {
	var ask ipc.OpenFile
	if err := m.Decode(&ask); err != nil {
		return err
	}
	flags, err := c.flags(ask)
	if err != nil {
		return err
	}
	fd, err := unix.Open(ask.Path, flags|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		_ = conn.Send(ipc.SendTimeout, ipc.TypeOpened, ipc.Opened{Missing: true}) // it has gone
		return nil
	case err != nil:
		_ = conn.Send(ipc.SendTimeout, ipc.TypeOpened, ipc.Opened{Failure: ipc.FailureOf(err)}) // the same
		return nil
	}
	defer unix.Close(fd)
	_ = conn.Send(ipc.SendTimeout, ipc.TypeOpened, ipc.Opened{}, fd) // the same
	return nil
}

// flags are how a file is opened for the worker, if it may have it. What is
// opened to be looked at cannot be read (open(2), O_PATH).
func (c Custody) flags(ask ipc.OpenFile) (int, error) {
	in := func(list []string) bool { return slices.Contains(list, ask.Path) }
	switch {
	case ask.How == ipc.OpenRead && in(c.Read):
		return unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY, nil
	case ask.How == ipc.OpenLook && (in(c.Read) || in(c.Look)):
		return unix.O_PATH, nil
	case ask.How == ipc.OpenEnter && in(c.Enter):
		return unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW, nil
	}
	return 0, &control.Error{Code: control.ErrDenied.Code, Message: fmt.Sprintf("%s is not in the custody of the primary, to %s", quoted(ask.Path), quoted(ask.How))}
}

// prepareAgain makes what is missing, one at a time and not too often.
func (p *Primary) prepareAgain(ctx context.Context) error {
	if p.cfg.Prepare == nil {
		return control.ErrDenied
	}
	select {
	case p.preparing <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-p.preparing }()
	admin, err := ask(ctx, p, func(l *loop) (string, error) { return l.adminAddr(), nil })
	if err != nil {
		return err
	}
	select {
	case <-time.After(time.Until(p.prepared.Add(prepareEvery))):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { p.prepared = time.Now() }()
	return p.cfg.Prepare(admin, true)
}

// prepare checks and makes what the admin port needs before anything is started.
func (p *Primary) prepare(l *loop) error {
	if _, err := l.pool(p.cfg.Spec.Admin); err != nil || p.cfg.Prepare == nil {
		return nil // there is no admin port
	}
	return p.cfg.Prepare(l.adminAddr(), false)
}

// adminAddr is where the admin port listens, or will.
func (l *loop) adminAddr() string {
	pool, err := l.pool(l.cfg.Spec.Admin)
	if err != nil {
		return ""
	}
	if admin := l.admin(); admin != "" || len(pool.spec.Listen) == 0 {
		return admin
	}
	return strings.TrimPrefix(pool.spec.Listen[0], "tcp://") // held by a shell worker that outlived its primary
}
