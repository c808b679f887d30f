package adminport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// The file of penalties is a table of fixed size. A source has one of the few
// places that its address picks. So a penalty is written in place at once, and
// the file never grows.
const (
	penaltyRecord = 32 // bytes
	penaltyWays   = 4  // places of one address
	penaltyTable  = maxSources * penaltyRecord
)

// held is the record of a source in the file.
type held struct {
	source   netip.Prefix
	until    time.Time
	enforced bool
	failed   int
}

func (h held) over(now time.Time) bool { return !h.until.After(now) }

// encode gives the record: address (16 bytes, IPv4 as IPv6), length of the
// prefix, whether it is enforced, two bytes of nothing, count, end in nanoseconds
// of Unix.
func (h held) encode() []byte {
	b := make([]byte, penaltyRecord)
	addr := h.source.Addr().As16()
	copy(b, addr[:])
	b[16] = byte(h.source.Bits())
	if h.enforced {
		b[17] = 1
	}
	binary.BigEndian.PutUint32(b[20:], uint32(min(h.failed, 1<<31-1)))
	if !h.until.IsZero() {
		binary.BigEndian.PutUint64(b[24:], uint64(h.until.UnixNano()))
	}
	return b
}

// decodeHeld reads a record; false: there is none, or it makes no sense.
func decodeHeld(b []byte, now time.Time) (h held, ok bool) {
	h.source = prefixOf(netip.AddrFrom16([16]byte(b[:16])))
	if int(b[16]) != h.source.Bits() || h.source.Addr() == netip.IPv6Unspecified() {
		return held{}, false
	}
	nano := binary.BigEndian.Uint64(b[24:])
	if nano > 1<<63-1 {
		return held{}, false
	}
	h.until, h.enforced = time.Unix(0, int64(nano)), b[17] == 1
	h.failed = int(min(binary.BigEndian.Uint32(b[20:]), 1<<31-1))
	if limit := now.Add(penaltyMax); h.until.After(limit) { // the clock was set
		h.until = limit
	}
	return h, true
}

// penalties keeps the penalties of sources for the next process, however this one
// ends: written data outlives its writer. The zero value keeps nothing.
type penalties struct {
	mu   sync.Mutex // one writer of this process at a time; a leaf
	file *os.File   // nil: none
}

// open opens or makes the file at path, which must belong to this process's user
// alone.
func (p *penalties) open(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0) {
		err = fmt.Errorf("%s: must be a file of mode 0600", path)
	}
	if err == nil && info.Size() != penaltyTable { // written whole, so that a full disk shows now
		_, err = f.WriteAt(make([]byte, penaltyTable), 0)
		err = errors.Join(err, f.Truncate(penaltyTable))
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	p.file = f
	return nil
}

func (p *penalties) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return nil
	}
	err := p.file.Close()
	p.file = nil
	return err
}

func (p *penalties) load(now time.Time) ([]held, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return nil, nil
	}
	table := make([]byte, penaltyTable)
	if _, err := p.file.ReadAt(table, 0); err != nil {
		return nil, err
	}
	var all []held
	for ; len(table) > 0; table = table[penaltyRecord:] {
		if h, ok := decodeHeld(table[:penaltyRecord], now); ok && !h.over(now) {
			all = append(all, h)
		}
	}
	return all, nil
}

// put writes the record of a source. A longer penalty that another process wrote
// stays, unless the source is forgiven.
func (p *penalties) put(h held, forgiven bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return nil
	}
	places, first := make([]byte, penaltyWays*penaltyRecord), h.place()
	if _, err := p.file.ReadAt(places, first); err != nil {
		return err
	}
	i, longer := pick(places, h, time.Now())
	if longer && !forgiven {
		return nil
	}
	_, err := p.file.WriteAt(h.encode(), first+int64(i*penaltyRecord))
	return err
}

// place is the offset of the places of a source.
func (h held) place() int64 {
	sum := fnv.New32a()
	addr := h.source.Addr().As16()
	sum.Write(addr[:]) // never fails (package hash)
	return int64(sum.Sum32()%(maxSources/penaltyWays)) * penaltyWays * penaltyRecord
}

// pick chooses the place for h: its own, else a free one, else the one that
// expires first. longer: its own place has a longer penalty than h.
func pick(places []byte, h held, now time.Time) (place int, longer bool) {
	soonest := now.Add(2 * penaltyMax)
	for i := range penaltyWays {
		old, ok := decodeHeld(places[i*penaltyRecord:][:penaltyRecord], now)
		switch {
		case ok && old.source == h.source:
			return i, old.until.After(h.until)
		case !ok || old.over(now):
			old.until = time.Time{}
		}
		if old.until.Before(soonest) {
			place, soonest = i, old.until
		}
	}
	return place, false
}
