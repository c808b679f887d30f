package certs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/norestart/norestart/internal/durable"
)

// keepEvery is the interval of looks for a lost host key.
const keepEvery = time.Second

// KeepHostKey puts the host key in dir back when its file has gone, until ctx
// ends. Otherwise, after a clean-up script, the next process would make another
// key, which every client reports as an attack. A rotated key is kept, too; a
// file that cannot be used is left to its owner. say takes a line for each of
// these, on the caller's goroutine.
func KeepHostKey(ctx context.Context, dir string, say func(format string, args ...any)) {
	k := keeper{path: filepath.Join(dir, hostKeyFile), say: say}
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		k.look()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

type keeper struct {
	path string
	say  func(format string, args ...any)
	seen fs.FileInfo // of the file that data was read from, or that cannot be used
	data []byte
	sick bool // it could not be put back, and say was told
}

func (k *keeper) look() {
	info, err := os.Lstat(k.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.putBack()
	case err == nil && (k.seen == nil || !os.SameFile(info, k.seen) || !info.ModTime().Equal(k.seen.ModTime())):
		k.seen = info
		if _, err := loadHostKey(durable.Disk{}, k.path); err != nil {
			return // the next start reports it
		}
		if data, _, err := durable.ReadSecret(k.path); err == nil {
			k.data = data
		}
	}
}

func (k *keeper) putBack() {
	if k.data == nil {
		return
	}
	err := durable.CreateFile(k.path, k.data, 0o600)
	switch {
	case err == nil:
		k.say("host key: %s was gone: it is written again", k.path)
	case !errors.Is(err, fs.ErrExist) && !k.sick: // else another process was first
		k.say("host key: %s is gone and cannot be written again: %v", k.path, err)
	}
	k.sick = err != nil
}
