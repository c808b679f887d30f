package primary

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
)

// A process of a pool with TTY has a pseudo terminal (pty(7)). Its other side is read
// like a pipe of output, so that the log has all of it; the last of it is kept for
// those who attach to the worker, one of whom may type.

const (
	screenShown = 16 << 10 // of what came before, to one who attaches
	screenKept  = 64 << 10 // for one who reads slowly
)

// openTerminal makes a pseudo terminal; the returned descriptor is for the child.
func openTerminal() (ours *os.File, child int, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("/dev/ptmx: %w", err)
	}
	child, err = -1, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	if err == nil {
		child, err = openPeer(fd)
	}
	if err == nil {
		err = resize(fd, 80, 24)
	}
	if err != nil {
		if child >= 0 {
			_ = unix.Close(child)
		}
		return nil, -1, errors.Join(fmt.Errorf("pseudo terminal: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "worker terminal"), child, nil
}

// openPeer opens the child's side, also where another /dev/pts is mounted.
func openPeer(fd int) (int, error) {
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return -1, errno
	}
	return int(peer), nil
}

func resize(fd, columns, rows int) error {
	return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(columns)})
}

// screen is the last of what a terminal has shown. It survives an exec.
type screen struct {
	Epoch uint64 `cbor:"epoch"` // of its places
	Kept  []byte `cbor:"kept"`
	End   uint64 `cbor:"end"` // how many bytes there have been

	mu     sync.Mutex // protects what follows and what is kept; a leaf
	news   chan struct{}
	over   bool // the process has ended
	typist *typist
}

// typist is the one caller who may type.
type typist struct{ name, user string }

func newScreen() *screen { return &screen{Epoch: rand.Uint64()>>1 | 1, news: make(chan struct{})} }

// add is called with all that the terminal shows.
func (s *screen) add(data []byte) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Kept, s.End = append(s.Kept, data...), s.End+uint64(len(data))
	if len(s.Kept) > 2*screenKept { // moved now and then, not each time
		s.Kept = append([]byte(nil), s.Kept[len(s.Kept)-screenKept:]...)
	}
	s.wake()
}

func (s *screen) wake() {
	close(s.news)
	s.news = make(chan struct{})
}

func (s *screen) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over = true
		s.wake()
	}
}

// image is a copy for the next image of the primary.
func (s *screen) image() *screen {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &screen{Epoch: s.Epoch, Kept: bytes.Clone(s.Kept[max(0, len(s.Kept)-screenKept):]), End: s.End}
}

// read returns what was shown from a place on, how many bytes of it are gone, and
// what is closed at the next change; nil: there will be none.
func (s *screen) read(from uint64) (data []byte, skipped int, end uint64, more <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		more = s.news
	}
	kept := s.Kept[max(0, len(s.Kept)-screenKept):]
	first := s.End - uint64(len(kept))
	if from < first {
		skipped, from = int(first-from), first
	}
	return bytes.Clone(kept[from-first:]), skipped, s.End, more
}

// begin is the place from which one who attaches sees it: a line of the last part.
func (s *screen) begin(after control.Cursor) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if after.Epoch == s.Epoch && after.Seq <= s.End {
		return after.Seq
	}
	shown := s.Kept[max(0, len(s.Kept)-screenShown):]
	if i := bytes.IndexByte(shown, '\n'); len(shown) == screenShown && i >= 0 {
		shown = shown[i+1:]
	}
	return s.End - uint64(len(shown))
}

// claim lets a caller type, if nobody else does. One who comes again may, too:
// the primary may not have seen yet that they had gone.
func (s *screen) claim(t *typist, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.typist != nil && s.typist.name != t.name {
		return &control.Error{Code: control.ErrBusy.Code, Message: fmt.Sprintf("%s is attached to it and types", s.typist.user), Hint: "worker attach --read-only " + id}
	}
	s.typist = t
	return nil
}

func (s *screen) leave(t *typist) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.typist == t {
		s.typist = nil
	}
}

// mayType reports whether a caller may type.
func (s *screen) mayType(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return name != "" && s.typist != nil && s.typist.name == name
}

// watchTerminal shows a terminal to one caller until its process ends.
func (c caller) watchTerminal(ctx context.Context, q control.TerminalQuery, fn func(any) error) error {
	a, err := ask(ctx, c.p, func(l *loop) (attached, error) { return l.attached(q.ID, q.Incarnation) })
	if err != nil {
		return err
	}
	s := a.out.screen
	if q.Typist != "" {
		t := &typist{q.Typist, c.user}
		if err := s.claim(t, q.ID); err != nil {
			return err
		}
		defer s.leave(t)
	}
	from := s.begin(q.After)
	for first := true; ; first = false {
		data, skipped, end, more := s.read(from)
		if from = end; first || len(data) > 0 {
			if err := fn(control.TerminalOutput{Cursor: control.Cursor{Epoch: s.Epoch, Seq: end}, Incarnation: a.inc, PID: a.pid, Data: data, Skipped: skipped}); err != nil {
				return err
			}
		}
		if more == nil {
			return nil
		}
		select {
		case <-more:
		case <-c.p.ended:
			return errEnded
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// attached is a process with a terminal.
type attached struct {
	out  *output
	file *os.File
	inc  uint64
	pid  int
}

// attached finds the process of a worker, or the one that is meant.
func (l *loop) attached(id string, inc uint64) (attached, error) {
	s, err := l.slot(id)
	if err != nil {
		return attached{}, err
	}
	if inc == 0 {
		inc = s.cur.inc
	}
	refuse := func(e *control.Error, hint, format string, args ...any) (attached, error) {
		return attached{}, &control.Error{Code: e.Code, Message: fmt.Sprintf(format, args...), Hint: hint}
	}
	r := s.processes[inc]
	switch {
	case r == nil && inc != s.cur.inc, r != nil && r.gone:
		return refuse(control.ErrConflict, "", "the process of worker %s has ended", id)
	case r == nil || r.handle == nil:
		return refuse(control.ErrConflict, "", "worker %s has no process: it is %s", id, s.state())
	case !s.specOf(r).TTY && s.pool.spec.TTY:
		return refuse(control.ErrConflict, "reload "+s.pool.spec.Name, "worker %s was started without a terminal: a reload gives it one", id)
	case !s.specOf(r).TTY:
		return refuse(control.ErrConflict, "", "worker %s has no terminal: write tty = true in [pool.%s] of the file, then: config reload", id, s.pool.spec.Name)
	case r.out == nil || r.out.file == nil:
		if s.pool.adoption != nil {
			return refuse(control.ErrUnavailable, "", "the terminal of worker %s has not come back yet", id)
		}
		return refuse(control.ErrConflict, "worker restart "+id, "the terminal of worker %s was lost, with the primary and the agent", id)
	}
	return attached{r.out, r.out.file, r.inc, r.pid()}, nil
}

// typeWithin bounds the wait for a program that does not read what is typed.
const typeWithin = time.Second

// typed passes on what the one who may type has typed, and the size of their screen.
func (c caller) typed(ctx context.Context, q control.TerminalRequest) error {
	a, err := ask(ctx, c.p, func(l *loop) (attached, error) { return l.attached(q.ID, q.Incarnation) })
	if err != nil {
		return err
	}
	if !a.out.screen.mayType(q.Typist) {
		return &control.Error{Code: control.ErrConflict.Code, Message: "another caller types at worker " + q.ID}
	}
	if q.Columns > 0 && q.Rows > 0 {
		if err := a.resize(q.Columns, q.Rows); err != nil {
			return err
		}
	}
	if len(q.Data) == 0 {
		return nil
	}
	if err := a.file.SetWriteDeadline(time.Now().Add(typeWithin)); err != nil {
		return err
	}
	n, err := a.file.Write(q.Data)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &control.Error{Code: control.ErrTimeout.Code, Message: fmt.Sprintf("worker %s does not read: %d of %d bytes were dropped", q.ID, len(q.Data)-n, len(q.Data))}
	}
	return err
}

func (a attached) resize(columns, rows int) error {
	raw, err := a.file.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = raw.Control(func(fd uintptr) { refused = resize(int(fd), min(columns, 1<<15), min(rows, 1<<15)) })
	return cmp.Or(err, refused)
}

// The agent keeps a copy of each terminal: without one its process would be hung up
// on with the primary.

const keptTerminal = " terminal "

func (p *pool) terminalName(inc uint64) string {
	return p.spec.Name + keptTerminal + strconv.FormatUint(inc, 10)
}

// keepTerminal gives the workers of the agent a copy.
func (l *loop) keepTerminal(s *slot, r *process) {
	if s.pool.keeper == nil {
		return
	}
	for _, keeper := range processes(s.pool.keeper.slots) {
		keeper.keepTerminal(s.pool, r)
	}
}

func (r *process) keepTerminal(p *pool, of *process) {
	if of.out == nil || of.out.screen == nil || of.out.file == nil {
		return
	}
	if raw, err := of.out.file.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { r.keep([]string{p.terminalName(of.inc)}, []int{int(fd)}) }) // closed: it has ended
	}
}

// dropTerminal lets the agent forget that of a process that has gone.
func (p *pool) dropTerminal(r *process) {
	if p.keeper != nil && r.out != nil && r.out.screen != nil {
		p.keeper.unkeep(p.terminalName(r.inc))
	}
}

// takeTerminal goes on with one that the agent has kept; false: its process has gone.
func (l *loop) takeTerminal(p *pool, name string, fd int) bool {
	for _, r := range processes(p.slots) {
		if p.terminalName(r.inc) == name && r.out != nil && r.out.screen != nil {
			return r.out.open(fd, &l.spawn.wg)
		}
	}
	return false
}

// open begins to read a terminal that has come back.
func (o *output) open(fd int, wg *sync.WaitGroup) bool {
	if unix.SetNonblock(fd, true) != nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.finished || o.file != nil {
		return false
	}
	o.file = os.NewFile(uintptr(fd), "worker terminal")
	wg.Go(o.read)
	return true
}

// isTerminalKept tells whether the agent is to keep a terminal of that name.
func (p *pool) isTerminalKept(name string) bool {
	for _, r := range processes(p.slots) {
		if r.out != nil && r.out.screen != nil && p.terminalName(r.inc) == name {
			return true
		}
	}
	return false
}
