package primary

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/notify"
)

// freezer is a starter that can leave all exits to the next image.
type freezer interface{ Freeze() (thaw func()) }

// exec replaces this primary's code by a new one, in place: same pid, same
// children, same sockets. It returns only if that failed, with everything as
// it was.
func (l *loop) exec(g *generation, j *job) error {
	if f, ok := l.cfg.Starter.(freezer); ok {
		defer f.Freeze()() // exits stay with the kernel for the next image
	}
	if l.exiting() || len(l.signals) > 0 {
		return errExiting
	}
	l.tell(control.Event{Kind: control.EventPrimaryExec, Job: j.ID, Text: fmt.Sprintf("primary executes %s in place", g.binary.Path())})
	old, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("keep the way back: %w", err)
	}
	defer unix.Close(old)
	outputs := l.pause()
	defer l.carryOn(outputs)
	l.pauseSupervised()
	defer l.answerAll()
	defer l.hearing.halt(l)()
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
	env := nextEnv(g.env, ImageVariable+"="+strconv.Itoa(fd))
	if err := os.Chdir(g.dir); err != nil {
		return err
	}
	defer func() { _ = os.Chdir("/") }()
	defer signal.Notify(l.signals, primarySignals()...)
	if ignoreSignals(); len(l.signals) > 0 { // a signal that came meanwhile is handled first
		return errExiting
	}
	return fmt.Errorf("execute %s: %w", g.binary.Path(), execute(g.binary.ExecPath(), g.argv, env))
}

// nextEnv is the environment of the next image: that of the program, and
// variables for a primary.
func nextEnv(env []string, more ...string) []string {
	for _, name := range []string{notify.Variable, watchdogVariable, watchdogPIDVariable} {
		if value := os.Getenv(name); value != "" {
			more = append(more, name+"="+value)
		}
	}
	return slices.Concat(env, more)
}

// execute is execve(2). For it Go restores the soft limit of descriptors with
// which the process was started; if it fails, the raised one is set again, so
// that Go still knows which limit children get.
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

// errExiting puts an exec off: a process has been reaped, which the kernel cannot
// tell the next image, and the loop does not know yet.
var errExiting = errors.New("a process has just ended, or a signal has come")

// exiting reports whether a process has been reaped whose exit has not reached
// the loop.
func (l *loop) exiting() bool {
	for _, r := range processes(l.slots()) {
		if errors.Is(r.handle.Signal(0), os.ErrProcessDone) {
			return true
		}
	}
	return false
}

// pause stops the readers of all output; unread output stays in the pipes.
func (l *loop) pause() map[uint64]*output {
	all := make(map[uint64]*output)
	for _, r := range processes(l.slots()) {
		if r.out != nil && r.out.pause() {
			all[r.inc] = r.out
		}
	}
	return all
}

func (l *loop) carryOn(outputs map[uint64]*output) {
	for _, o := range outputs {
		o.carryOn(&l.spawn.wg)
	}
}

// held are descriptors of the primary itself that go over an exec.
type held struct{ lock, workers, ctl int }

// restoreListeners takes over the sockets of a pool.
func (im *image) restoreListeners(p *pool) error {
	name := p.spec.Name
	addrs := im.Addrs[name]
	if addrs == nil { // of an earlier primary
		addrs = p.listenOf(p.gen)
	}
	for i, fds := range im.Sockets[name] {
		if i >= len(addrs) {
			break // it is closed
		}
		if err := p.restoreListener(nil, addrs[i], im.Names[name][i], fds); err != nil {
			return err
		}
	}
	return nil
}

// succeed is the whole life of a primary that an earlier image of itself
// executed. If it cannot take over, it executes the earlier binary again.
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
		err = errors.Join(err, im.wayBack(cfg, err))
		runtime.KeepAlive(lock) // a finalizer would close what the way back needs
		runtime.KeepAlive(l)
		return err
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

// reachable makes sure that the two sockets are at their paths: somebody may have
// removed the run directory's files.
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
	p, err := newPrimary(cfg, lock, &im.Record)
	if err != nil {
		return nil, nil, err
	}
	p.log.restore(im.Epoch, im.NextLine, im.Lines)
	p.news.restore(im.Epoch, im.NextEvent, im.Events)
	p.console.goOn(im.Console)
	l, err := p.assemble(&im.Record, im)
	return p, l, err
}

// hold notes the descriptors of the two sockets for an exec.
func (l *loop) hold(workers, ctl *net.UnixListener) (err error) {
	if l.cfg.held.workers, err = inherit.RawFD(workers); err != nil {
		return err
	}
	l.cfg.held.ctl, err = inherit.RawFD(ctl)
	return err
}
