package norestart

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/norestart/norestart/certs"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/ipc"
	"github.com/norestart/norestart/internal/users"
	"github.com/norestart/norestart/primary"
	"github.com/norestart/norestart/worker"
)

// Names in the state directory.
const (
	ownDir       = "shell"              // what shell workers write, also users.HistoryDir
	attemptsFile = "failed-logins.json" // in it
	penaltyFile  = "penalties"          // in it
)

// maxRecord bounds a record of a shell worker on its way to the log. What can
// be typed at the admin port is far shorter.
const maxRecord = 64 << 10

// custody is what a shell worker with a user of its own gets of the state
// directory through the primary.
func (app App) custody(state, cwd string) primary.Custody {
	if app.Shell == nil || app.Shell.User == "" {
		return primary.Custody{}
	}
	read, look := certs.ServerFiles(state)
	read = append(read, filepath.Join(state, users.FileName))
	for _, path := range []string{app.Shell.TLSCert, app.Shell.TLSKey} {
		if path != "" {
			read = append(read, absolute(cwd, path))
		}
	}
	log := recorder{path: filepath.Join(state, audit.FileName)}
	return primary.Custody{Read: read, Look: look, Enter: []string{filepath.Join(state, ownDir)}, Record: log.append}
}

func absolute(cwd, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(cwd, path)
}

// recorder writes the records of a shell worker that cannot: such a worker adds
// to the log and takes nothing away.
type recorder struct {
	path string

	mu  sync.Mutex // protects log
	log *audit.Log // nil: not opened yet
}

func (r *recorder) append(body []byte) error {
	if len(body) > maxRecord {
		return fmt.Errorf("a record of %d bytes: at most %d", len(body), maxRecord)
	}
	var record audit.Record
	if err := ipc.Decode(body, &record); err != nil {
		return fmt.Errorf("a record for the audit log: %w", err)
	}
	log, err := r.open()
	if err != nil {
		return err
	}
	return log.Append(record)
}

func (r *recorder) open() (*audit.Log, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log != nil {
		return r.log, nil
	}
	log, err := audit.Open(r.path, audit.Options{})
	if err == nil {
		r.log = log
	}
	return log, err
}

// part is the part that a shell worker has of the state directory.
type part struct {
	files durable.Files
	own   string // path of the directory that is its own
	audit func(audit.Record) error
	close func() error
}

// writes tells whether the worker may write in the state directory itself.
func (p part) writes() bool {
	_, itself := p.files.(durable.Disk)
	return itself
}

// openPart opens the state directory, or what the primary gives of it to who
// may not enter it.
func openPart(w *worker.Worker) (part, error) {
	state := w.StateDir()
	_, err := os.Stat(filepath.Join(state, ownDir))
	if errors.Is(err, fs.ErrPermission) {
		return givenPart(w)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = w.Custody().Prepare()
	}
	if err != nil {
		return part{}, err
	}
	log, err := audit.Open(filepath.Join(state, audit.FileName), audit.Options{})
	if err != nil {
		return part{}, err
	}
	return part{files: durable.Disk{}, own: filepath.Join(state, ownDir), audit: log.Append, close: log.Close}, nil
}

// givenPart has its directory as a descriptor, for as long as the process lives:
// below it are files that are opened again and again.
func givenPart(w *worker.Worker) (part, error) {
	custody := w.Custody()
	path := filepath.Join(w.StateDir(), ownDir)
	dir, err := custody.Enter(path)
	if err != nil || !isOurs(dir) { // the shell had another user before, or none
		if err = errors.Join(custody.Prepare(), closeIf(dir)); err == nil {
			dir, err = custody.Enter(path)
		}
	}
	if err != nil {
		return part{}, err
	}
	record := func(r audit.Record) error { return custody.Record(r) }
	own := "/proc/self/fd/" + strconv.Itoa(int(dir.Fd()))
	return part{files: custody, own: own, audit: record, close: dir.Close}, nil
}

func isOurs(dir *os.File) bool { return dir != nil && durable.Owner(dir) == os.Geteuid() }

func closeIf(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}
