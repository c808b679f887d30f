package primary

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/proc"
)

// ImageVariable names the descriptor of the state that one image of the
// primary leaves to the next (memfd_create(2)).
const ImageVariable = "NORESTART_IMAGE_FD"

// BackVariable tells the earlier binary why it was executed again.
const BackVariable = "NORESTART_BACK"

// image is everything of a primary that goes over its exec: the record, and
// what only descriptors and memory hold.
type image struct {
	Record              record                 `cbor:"record"`
	Lock                int                    `cbor:"lock"`
	Workers             int                    `cbor:"workers"` // worker.sock
	Ctl                 int                    `cbor:"ctl"`     // ctl.sock
	Old                 int                    `cbor:"old"`     // the binary that wrote it, for the way back
	Counter             counterImage           `cbor:"counter"`
	Sockets             map[string][][]int     `cbor:"sockets"` // by pool, listener and slot
	Names               map[string][]string    `cbor:"names"`   // of the listeners, by pool
	Pins                map[string]map[int]int `cbor:"pins"`    // by pool and generation
	Outputs             map[uint64]outputImage `cbor:"outputs"` // by incarnation
	Epoch               uint64                 `cbor:"epoch"`
	NextLine, NextEvent uint64
	Lines               []control.LogLine `cbor:"lines"`
	Events              []control.Event   `cbor:"events"`
	Console             consoleImage      `cbor:"console"`
}

// counterImage lets the incarnations go on without a write: the disk may be full.
type counterImage struct {
	Last     uint64 `cbor:"last"`
	Reserved uint64 `cbor:"reserved"`
}

type outputImage struct {
	FD      int      `cbor:"fd"`
	Partial []byte   `cbor:"partial,omitempty"`
	Cut     bool     `cbor:"cut,omitempty"`
	Tail    []string `cbor:"tail,omitempty"`
}

func (l *loop) image(outputs map[uint64]*output) (image, error) {
	im := image{
		Record: l.record(), Lock: l.cfg.held.lock, Workers: l.cfg.held.workers, Ctl: l.cfg.held.ctl,
		Sockets: make(map[string][][]int), Pins: make(map[string]map[int]int), Outputs: make(map[uint64]outputImage),
		Epoch: l.log.epoch, Names: make(map[string][]string), Counter: counterImage{l.counter.last, l.counter.reserved},
	}
	im.Lines, _, im.NextLine = l.log.read(1)
	im.Events, _, im.NextEvent = l.news.read(1)
	for _, p := range l.pools {
		for _, g := range p.groups {
			im.Sockets[p.spec.Name] = append(im.Sockets[p.spec.Name], g.FDs())
		}
		im.Names[p.spec.Name] = p.names
		pins := make(map[int]int)
		for _, g := range p.generations {
			pins[g.number] = g.binary.FD()
		}
		im.Pins[p.spec.Name] = pins
	}
	for inc, o := range outputs {
		oi, err := o.image()
		if err != nil {
			return im, err
		}
		im.Outputs[inc] = oi
	}
	im.Record.Ended = nil
	for _, j := range l.jobs {
		if j.State != control.JobRunning {
			im.Record.Ended = append(im.Record.Ended, jobRecord{Job: j.value(), Events: j.events})
		}
	}
	return im, nil
}

// descriptors are all that go over the exec.
func (im image) descriptors() []int {
	fds := []int{im.Lock, im.Workers, im.Ctl, im.Old}
	for _, groups := range im.Sockets {
		for _, g := range groups {
			fds = append(fds, g...)
		}
	}
	for _, pins := range im.Pins {
		for _, fd := range pins {
			fds = append(fds, fd)
		}
	}
	for _, o := range im.Outputs {
		fds = append(fds, o.FD)
	}
	return fds
}

func writeImage(im image) (int, error) {
	data, err := ipc.Encode(im)
	if err != nil {
		return -1, err
	}
	fd, err := unix.MemfdCreate("norestart-image", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err != nil {
			return -1, errors.Join(err, unix.Close(fd))
		}
		data = data[n:]
	}
	return fd, nil
}

// readImage reads the state of the image before this one and takes over its
// descriptors.
func readImage(fd int) (*image, error) {
	data, err := readAt(fd)
	if err != nil {
		return nil, err
	}
	var im image
	if err := ipc.Decode(data, &im); err != nil {
		return nil, err
	}
	if im.Record.Version != recordVersion {
		return nil, fmt.Errorf("state version %d, this primary knows %d", im.Record.Version, recordVersion)
	}
	return &im, inherit.CloseOnExec(im.descriptors())
}

// readAt reads a memfd from its beginning and leaves it open: the way back
// needs it, too.
func readAt(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	data := make([]byte, st.Size)
	for done := 0; done < len(data); {
		n, err := unix.Pread(fd, data[done:], int64(done))
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		done += n
	}
	return data, nil
}

// sockets are the two of the run directory, as they came over the exec.
func (im *image) listeners() (workers, ctl *net.UnixListener, err error) {
	if workers, err = inherit.AdoptUnix(im.Workers); err != nil {
		return nil, nil, err
	}
	ctl, err = inherit.AdoptUnix(im.Ctl)
	return workers, ctl, err
}

// pinned is a generation's binary that the image before this one held open.
func (im *image) pinned(pool string, g generationRecord) (*proc.Binary, error) {
	if im == nil {
		return nil, os.ErrNotExist
	}
	fd, ok := im.Pins[pool][g.Number]
	if !ok {
		return nil, os.ErrNotExist
	}
	return proc.PinFD(fd, g.Path)
}

// letGo closes what came over the exec and has no place in the new image: the
// sockets of listeners and the output of processes that there are no more, the
// way back.
func (im *image) letGo(cfg Config, l *loop) {
	used := []int{im.Lock, im.Workers, im.Ctl} // the sockets are closed and used again
	for _, p := range l.pools {
		for _, g := range p.groups {
			used = append(used, g.FDs()...)
		}
		for _, g := range p.generations {
			used = append(used, g.binary.FD())
		}
		for _, s := range p.seats {
			for inc := range s.runs {
				used = append(used, im.Outputs[inc].FD)
			}
		}
	}
	for _, fd := range append(im.descriptors(), cfg.Image) {
		if !slices.Contains(used, fd) {
			_ = unix.Close(fd) // nothing to be done about it
			used = append(used, fd)
		}
	}
}

// wayBack executes the binary that wrote the image, once.
func (im *image) wayBack(cfg Config, cause error) error {
	if cfg.Back != "" {
		return errors.New("the way back failed as well")
	}
	if _, err := inherit.KeepOverExec(append(im.descriptors(), cfg.Image)); err != nil {
		return err
	}
	env := append(slices.Clone(cfg.Env), ImageVariable+"="+strconv.Itoa(cfg.Image), BackVariable+"="+cause.Error())
	if err := os.Chdir(cfg.Dir); err != nil {
		return err
	}
	return syscall.Exec(procFD(im.Old), cfg.Argv, env)
}
