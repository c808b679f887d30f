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
	"github.com/norestart/norestart/internal/launch"
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
	Record              record                        `cbor:"record"`
	Lock                int                           `cbor:"lock"`
	Workers             int                           `cbor:"workers"`          // worker.sock
	Ctl                 int                           `cbor:"ctl"`              // ctl.sock
	Notify              int                           `cbor:"notify,omitempty"` // notify.sock; 0: there is none
	Old                 int                           `cbor:"old"`              // the binary that wrote it, for the way back
	Counter             counterImage                  `cbor:"counter"`
	Sockets             map[string][][]int            `cbor:"sockets"`              // by pool, listener and slot
	Names               map[string][]string           `cbor:"names"`                // of the listeners, by pool
	Addrs               map[string][]string           `cbor:"addrs"`                // of the listeners, by pool
	Pins                map[string]map[int]int        `cbor:"pins"`                 // by pool and generation
	Outputs             map[uint64]outputImage        `cbor:"outputs"`              // by incarnation
	Supervised          map[string][]supervisionImage `cbor:"supervised,omitempty"` // by pool
	Stored              map[string][]storedImage      `cbor:"stored,omitempty"`     // by pool
	Epoch               uint64                        `cbor:"epoch"`
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
	Cause   cause    `cbor:"cause,omitzero"`
	Found   bool     `cbor:"found,omitempty"` // the line by which it says that it is ready
	Screen  *screen  `cbor:"screen,omitempty"`
}

func (l *loop) image(outputs map[uint64]*output) (image, error) {
	im := image{
		Record: l.record(), Lock: l.cfg.held.lock, Workers: l.cfg.held.workers, Ctl: l.cfg.held.ctl,
		Sockets: make(map[string][][]int), Pins: make(map[string]map[int]int), Outputs: make(map[uint64]outputImage), Supervised: make(map[string][]supervisionImage), Stored: make(map[string][]storedImage),
		Epoch: l.log.epoch, Names: make(map[string][]string), Addrs: make(map[string][]string), Counter: counterImage{l.counter.last, l.counter.reserved},
	}
	im.Lines, _, im.NextLine = l.log.read(1)
	im.Events, _, im.NextEvent = l.news.read(1)
	for _, p := range l.pools {
		name := p.spec.Name
		for _, o := range p.open {
			im.Sockets[name] = append(im.Sockets[name], o.group.FDs())
			im.Addrs[name] = append(im.Addrs[name], o.addr)
			im.Names[name] = append(im.Names[name], p.nameFor(p.gen, o))
		}
		pins := make(map[int]int)
		for _, g := range p.generations {
			pins[g.number] = g.binary.FD()
		}
		im.Pins[p.spec.Name] = pins
		im.Supervised[name], im.Stored[name] = p.supervisionImages(), p.storedImages()
	}
	for inc, o := range outputs {
		oi, err := o.image()
		if err != nil {
			return im, err
		}
		im.Outputs[inc] = oi
	}
	var err error
	if im.Notify, err = l.hearing.fd(); err != nil {
		return im, err
	}
	im.Record.Ended = nil
	for _, j := range l.jobs {
		if j.State != control.JobRunning {
			im.Record.Ended = append(im.Record.Ended, jobRecord{Job: j.value(), Events: j.events()})
		}
	}
	return im, nil
}

func (im image) descriptors() []int {
	fds := []int{im.Lock, im.Workers, im.Ctl, im.Old}
	if im.Notify > 0 {
		fds = append(fds, im.Notify)
	}
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
	for _, all := range im.Supervised {
		for _, v := range all {
			fds = append(fds, v.FD)
		}
	}
	for _, all := range im.Stored {
		for _, d := range all {
			fds = append(fds, d.FD)
		}
	}
	return fds
}

func writeImage(im image) (int, error) {
	data, err := ipc.Encode(im)
	if err != nil {
		return -1, err
	}
	return launch.Seal("norestart-image", data)
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

// readAt reads a memfd from its beginning and leaves it open, for the way back.
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

// listeners are the two sockets of the run directory, as they came over the exec.
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

// letGo closes what came over the exec and has no place in the new image: sockets
// of listeners and output of processes that no longer exist, and the way back.
func (im *image) letGo(cfg Config, l *loop) {
	used := []int{im.Lock, im.Workers, im.Ctl, im.Notify} // closed and used again
	for _, p := range l.pools {
		for _, o := range p.open {
			used = append(used, o.group.FDs()...)
		}
		for _, g := range p.generations {
			used = append(used, g.binary.FD())
		}
		for _, v := range p.supervised {
			used = append(used, v.notify)
		}
		for _, d := range p.storedImages() {
			used = append(used, d.FD)
		}
	}
	for _, r := range processes(l.slots()) {
		used = append(used, im.Outputs[r.inc].FD)
	}
	for _, fd := range append(im.descriptors(), cfg.Image) {
		if !slices.Contains(used, fd) {
			_ = unix.Close(fd)
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
	env := nextEnv(cfg.Env, ImageVariable+"="+strconv.Itoa(cfg.Image), BackVariable+"="+cause.Error())
	if err := os.Chdir(cfg.Dir); err != nil {
		return err
	}
	return syscall.Exec(procFD(im.Old), cfg.Argv, env)
}
