package app

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
)

// Names in the state directory.
const (
	shellDir     = "shell"              // what shell workers write, also users.HistoryDir
	attemptsFile = "failed-logins.json" // in it
	penaltyFile  = "penalties"          // in it
	addressFile  = "addresses.json"     // in it
)

// maxRecord bounds a record of a shell worker on its way to the log. What can
// be typed at the admin port is far shorter.
const maxRecord = 64 << 10

// fileBroker is what a shell worker that runs as another user gets of the state
// directory, through the primary.
func (app App) fileBroker(state, cwd string) primary.Broker {
	if app.Shell == nil || app.Shell.User == "" {
		return primary.Broker{}
	}
	read, look := certs.ServerFiles(state)
	read = append(read, filepath.Join(state, users.FileName))
	for _, path := range []string{app.Shell.TLSCert, app.Shell.TLSKey} {
		if path != "" {
			read = append(read, absolute(cwd, path))
		}
	}
	log := recorder{path: filepath.Join(state, audit.FileName)}
	return primary.Broker{Read: read, Look: look, Enter: []string{filepath.Join(state, shellDir)}, Record: log.append}
}

func absolute(cwd, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(cwd, path)
}

// recorder writes the records of a shell worker that may not open the audit log:
// so it can add to the log, but not change it.
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

// shellFiles is the shell worker's part of the state directory.
type shellFiles struct {
	files durable.Files
	dir   string // path of the directory that is its own
	audit func(audit.Record) error
	close func() error
}

// writes reports whether the worker may write in the state directory itself.
func (f shellFiles) writes() bool {
	_, itself := f.files.(durable.Disk)
	return itself
}

// openShellFiles opens the state directory. A worker that may not enter it gets
// its files from the primary.
func openShellFiles(state string, broker ipc.Broker) (shellFiles, error) {
	_, err := os.Stat(filepath.Join(state, shellDir))
	if errors.Is(err, fs.ErrPermission) {
		return brokeredFiles(state, broker)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = broker.Prepare()
	}
	if err != nil {
		return shellFiles{}, err
	}
	log, err := audit.Open(filepath.Join(state, audit.FileName), audit.Options{})
	if err != nil {
		return shellFiles{}, err
	}
	return shellFiles{files: durable.Disk{}, dir: filepath.Join(state, shellDir), audit: log.Append, close: log.Close}, nil
}

// brokeredFiles holds the worker's own directory as a descriptor for the life of
// the process: files below it are opened repeatedly.
func brokeredFiles(state string, broker ipc.Broker) (shellFiles, error) {
	path := filepath.Join(state, shellDir)
	dir, err := broker.Enter(path)
	if err != nil || !isOurs(dir) { // the shell had another user before, or none
		if err = errors.Join(broker.Prepare(), closeIf(dir)); err == nil {
			dir, err = broker.Enter(path)
		}
	}
	if err != nil {
		return shellFiles{}, err
	}
	record := func(r audit.Record) error { return broker.Record(r) }
	below := "/proc/self/fd/" + strconv.Itoa(int(dir.Fd()))
	return shellFiles{files: durable.Share(broker), dir: below, audit: record, close: dir.Close}, nil
}

func isOurs(dir *os.File) bool { return dir != nil && durable.Owner(dir) == os.Geteuid() }

func closeIf(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}
