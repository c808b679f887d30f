package primary

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

// freezer is a starter that can leave all exits to the next image.
type freezer interface{ Freeze() (thaw func()) }

// exec replaces this primary's code by a new one, in place: same pid, same
// children, same sockets. It returns only if that failed, with everything as
// it was.
func (l *loop) exec(g *generation, j *job) error {
	if f, ok := l.cfg.Starter.(freezer); ok {
		defer f.Freeze()() // an exit stays with the kernel for the next image
	}
	if l.exiting() || l.cfg.pending() {
		return errExiting
	}
	l.tell(control.Event{Kind: "primary.exec", Job: j.ID, Text: fmt.Sprintf("primary executes %s in place", g.binary.Path())})
	old, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("keep the way back: %w", err)
	}
	defer unix.Close(old)
	outputs := l.pause()
	defer l.carryOn(outputs)
	im, err := l.image(outputs)
	if err != nil {
		return err
	}
	im.Old, im.Console = old, l.con.leave()
	defer l.con.goOn(im.Console)
	keep := im.descriptors()
	fd, err := writeImage(im)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	undo, err := inherit.KeepOverExec(append(keep, fd))
	if err != nil {
		return err
	}
	defer undo()
	env := append(slices.Clone(g.env), ImageVariable+"="+strconv.Itoa(fd))
	if err := os.Chdir(g.dir); err != nil {
		return err
	}
	defer func() { _ = os.Chdir("/") }()
	// A signal between here and the next Notify is lost, not deadly.
	signal.Ignore(primarySignals()...)
	defer l.cfg.notify()
	if l.cfg.pending() { // one that came meanwhile is acted on
		return errExiting
	}
	return fmt.Errorf("execute %s: %w", g.binary.Path(), execute(g.binary.ExecPath(), g.argv, env))
}

// execute is execve(2). For it Go gives back the soft limit of descriptors that
// the process was started with; when it fails, the raised one is set again, by
// hand, so that Go still knows what children shall have.
func execute(path string, argv, env []string) error {
	var raised unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &raised); err != nil {
		return err
	}
	err := syscall.Exec(path, argv, env)
	_, _, errno := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&raised)), 0, 0, 0)
	if errno != 0 {
		err = errors.Join(err, fmt.Errorf("raise the limit of descriptors again: %w", errno))
	}
	return err
}

// errExiting puts an exec off: a process has been reaped, which the kernel
// cannot tell the next image, and the loop does not know yet.
var errExiting = errors.New("a process has just ended, or a signal has come")

// exiting tells whether a process has been reaped whose exit has not come to
// the loop.
func (l *loop) exiting() bool {
	for _, p := range l.pools {
		for _, s := range p.seats {
			for _, r := range s.runs {
				if errors.Is(r.process.Signal(0), os.ErrProcessDone) {
					return true
				}
			}
		}
	}
	return false
}

// pause stops the readers of all output; what they have not read stays in the
// pipes.
func (l *loop) pause() map[uint64]*output {
	all := make(map[uint64]*output)
	for _, p := range l.pools {
		for _, s := range p.seats {
			for inc, r := range s.runs {
				if r.out != nil && r.out.pause() {
					all[inc] = r.out
				}
			}
		}
	}
	return all
}

func (l *loop) carryOn(outputs map[uint64]*output) {
	for _, o := range outputs {
		o.carryOn(&l.spawn.wg)
	}
}

// held are descriptors that the primary itself keeps over an exec.
type held struct{ lock, workers, ctl int }

// regroup takes over the sockets of a pool.
func (im *image) regroup(p *pool) error {
	var all []ipc.Socket
	for i, fds := range im.Sockets[p.spec.Name] {
		for slot, fd := range fds {
			all = append(all, ipc.Socket{Name: im.Names[p.spec.Name][i], Slot: slot, FD: fd})
		}
	}
	groups, _, err := p.regroup(all)
	p.groups = groups
	return err
}

// succeed is a whole life of a primary that was executed by an earlier image of
// itself. What it cannot take over it gives back: the earlier binary is
// executed again.
func succeed(ctx context.Context, cfg Config) error {
	// ps(1) would show the number of the descriptor that was executed.
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(cfg.Argv[0])), 0)
	im, err := readImage(cfg.Image)
	if err != nil {
		return fmt.Errorf("take over from the image before: %w", err) // the workers serve on, and a new primary adopts them
	}
	lock := os.NewFile(uintptr(im.Lock), "lock")
	p, l, err := takeOver(cfg, im, lock)
	if err != nil {
		return errors.Join(err, im.wayBack(cfg, err))
	}
	workers, ctl, err := im.listeners()
	if err == nil {
		im.letGo(cfg, l)
		workers, ctl, err = p.reachable(workers, ctl)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("take over the sockets: %w", err), lock.Close())
	}
	return errors.Join(p.serve(ctx, l, workers, ctl), lock.Close())
}

// reachable makes sure that the two sockets are where everybody looks for them:
// somebody may have removed the run directory's files.
func (p *Primary) reachable(workers, ctl *net.UnixListener) (*net.UnixListener, *net.UnixListener, error) {
	for _, name := range []string{ipc.WorkerSocket, ipc.CtlSocket} {
		if _, err := os.Lstat(filepath.Join(p.cfg.Run, name)); errors.Is(err, os.ErrNotExist) {
			fresh, ctlFresh, err := p.listen()
			return fresh, ctlFresh, errors.Join(err, workers.Close(), ctl.Close())
		}
	}
	return workers, ctl, nil
}

func takeOver(cfg Config, im *image, lock *os.File) (_ *Primary, _ *loop, err error) {
	defer func() {
		if r := recover(); r != nil { // whatever it is, the binary that wrote the image can do better
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	p, err := newPrimary(cfg, lock)
	if err != nil {
		return nil, nil, err
	}
	p.log.restore(im.Epoch, im.NextLine, im.Lines)
	p.news.restore(im.Epoch, im.NextEvent, im.Events)
	p.console.goOn(im.Console)
	l, err := p.assemble(&im.Record, im)
	if err != nil {
		return nil, nil, err
	}
	return p, l, nil
}

// hold notes the descriptors of the two sockets for an exec.
func (l *loop) hold(workers, ctl *net.UnixListener) (err error) {
	if l.cfg.held.workers, err = inherit.RawFD(workers); err != nil {
		return err
	}
	l.cfg.held.ctl, err = inherit.RawFD(ctl)
	return err
}
