package primary

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/proc"
)

// generation is one version of a pool's code with all that is needed to start
// it again, whatever the file on disk is by then.
type generation struct {
	number int
	binary *proc.Binary
	argv   []string
	env    []string
	dir    string
	since  time.Time
	burned bool      // given up: nobody rolls back to it
	kept   string    // a file of the state directory that is the binary; empty: none could be made
	made   *settings // nil: not known
}

func (g *generation) close() { _ = g.binary.Close() } // only a descriptor

// same tells whether two generations have the same content.
func (g *generation) same(o *generation) bool {
	gd, gi := g.binary.Identity()
	od, oi := o.binary.Identity()
	return gd == od && gi == oi && slices.Equal(g.argv, o.argv) && slices.Equal(g.env, o.env) && g.dir == o.dir
}

// generationsDir holds the binaries of the kept generations.
const generationsDir = "generations"

// keep makes the binary of a generation last over the end of this process and
// of its file: by a link to the same file, which costs nothing, or by a copy
// where the state directory is on another file system.
func (g *generation) keep(state, pool string) error {
	dir := filepath.Join(state, generationsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, pool+"-"+strconv.Itoa(g.number))
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	pinned := procFD(g.binary.FD())
	err := unix.Linkat(unix.AT_FDCWD, pinned, unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	if err != nil {
		err = copyBinary(pinned, path)
	}
	if err != nil {
		return fmt.Errorf("keep the binary of generation %d: %w", g.number, err)
	}
	g.kept = path
	return nil
}

func copyBinary(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	if err = room(in, out); err == nil {
		_, err = io.Copy(out, in)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		err = errors.Join(err, os.Remove(to))
	}
	return err
}

// room takes the space for a copy of in at once, where the file system can do that:
// one that is nearly full is not filled up to find that out.
func room(in, out *os.File) error {
	info, err := in.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	err = unix.Fallocate(int(out.Fd()), 0, 0, info.Size())
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// forget lets go of a generation for good.
func (g *generation) forget() {
	g.close()
	if g.kept != "" {
		_ = os.Remove(g.kept) // only room is lost
	}
}

// copy is the same content as a generation to come.
func (g *generation) copy() (*generation, error) {
	fd, err := unix.FcntlInt(uintptr(g.binary.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	b, err := proc.PinFD(fd, g.binary.Path())
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &generation{binary: b, argv: g.argv, env: g.env, dir: g.dir, since: time.Now()}, nil
}

// keptGenerations is how many versions of a pool's code stay executable.
const keptGenerations = 3

func (p *pool) generation(number int) *generation {
	for _, g := range p.generations {
		if g.number == number {
			return g
		}
	}
	return nil
}

// adoptGeneration adds a generation. Whoever calls it tidies up when that is
// written down: what a record names must be there.
func (l *loop) adoptGeneration(p *pool, g *generation) {
	p.lastGen, g.number = p.lastGen+1, p.lastGen+1
	g.made = settingsOf(p.spec)
	p.generations = append(p.generations, g)
	if err := g.keep(l.cfg.State, p.spec.Name); err != nil {
		l.tell(control.Event{Kind: "pool.trouble", Text: fmt.Sprintf("pool %s: %v", p.spec.Name, err)})
	}
}

// keepAgain keeps the binaries whose files have gone: a primary was killed
// while it forgot them, or somebody removed them.
func (l *loop) keepAgain(p *pool) {
	for _, g := range p.generations {
		if g.kept == "" {
			continue
		}
		if _, err := os.Lstat(g.kept); err == nil {
			continue
		}
		g.kept = ""
		if err := g.keep(l.cfg.State, p.spec.Name); err != nil {
			l.tell(control.Event{Kind: "pool.trouble", Text: fmt.Sprintf("pool %s: %v", p.spec.Name, err)})
		}
	}
}

// tidy forgets what is over the number of generations to keep: first those
// that were given up, then the oldest.
func (p *pool) tidy() {
	for _, burned := range []bool{true, false} {
		for i := 0; len(p.generations) > keptGenerations && i < len(p.generations); {
			g := p.generations[i]
			if p.runs(g.number) || g.burned != burned {
				i++
				continue
			}
			g.forget()
			p.generations = slices.Delete(p.generations, i, i+1)
		}
	}
}

// runs tells whether a generation is in use or may have to be started again.
func (p *pool) runs(number int) bool {
	if number == p.gen || number == p.lastGen {
		return true
	}
	return slices.ContainsFunc(p.seats, func(s *seat) bool {
		return s.gen == number || s.cur.gen == number || s.next.gen == number || s.coming.gen == number
	})
}

// rollback begins a new generation of a pool with the content of an earlier
// one: of that number, or of the one before.
func (l *loop) rollback(r control.RollbackRequest, owner string) (*job, error) {
	p, err := l.rollbackPool(r.Pool)
	if err != nil {
		return nil, err
	}
	g, err := p.rollbackTo(r.Generation)
	if err != nil {
		return nil, err
	}
	again, err := g.copy()
	if err != nil {
		return nil, fmt.Errorf("rollback: %w", err)
	}
	w := &reload{todo: []*cycle{{pool: p, to: again}}}
	j, err := l.begin("rollback", fmt.Sprintf("%s to generation %d", p.spec.Name, g.number), owner, []*pool{p}, w)
	if err != nil {
		again.close()
	}
	return j, err
}

func (l *loop) rollbackPool(name string) (*pool, error) {
	if name != "" {
		return l.pool(name)
	}
	pools, err := l.reloadable(nil)
	if err == nil && len(pools) != 1 {
		err = &control.Error{Code: control.ErrUsage.Code, Message: fmt.Sprintf("there are %d pools: name one", len(pools)), Hint: "generation list"}
	}
	if err != nil {
		return nil, err
	}
	return pools[0], nil
}

func (p *pool) rollbackTo(number int) (*generation, error) {
	if number != 0 {
		if g := p.generation(number); g != nil {
			return g, nil
		}
		return nil, &control.Error{Code: control.ErrNoGeneration.Code, Message: fmt.Sprintf("generation %d of %s is not kept", number, p.spec.Name), Hint: control.ErrNoGeneration.Hint}
	}
	for _, g := range slices.Backward(p.generations) {
		if g.number < p.gen && !g.burned {
			return g, nil
		}
	}
	return nil, &control.Error{Code: control.ErrNoGeneration.Code, Message: fmt.Sprintf("no earlier generation of %s is kept", p.spec.Name), Hint: control.ErrNoGeneration.Hint}
}

// generationList is what is kept of each pool.
func (l *loop) generationList() []control.GenerationInfo {
	all := []control.GenerationInfo{}
	for _, p := range l.pools {
		for _, g := range p.generations {
			info := control.GenerationInfo{
				Pool: p.spec.Name, BuiltIn: p.spec.BuiltIn, Number: g.number, Since: g.since, Path: g.binary.Path(),
				Current: g.number == p.gen, GivenUp: g.burned, Kept: control.KeptNo,
			}
			if g.kept != "" {
				info.Kept = control.KeptBinary
			}
			for _, s := range p.seats {
				if s.cur.some() && s.cur.gen == g.number {
					info.Workers++
				}
			}
			all = append(all, info)
		}
	}
	return all
}
