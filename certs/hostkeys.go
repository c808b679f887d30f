package certs

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/norestart/norestart/internal/durable"
)

// HostKeys is the host key of a running server. It follows the file: after a
// rotation the next client gets the new key, and sessions go on. Its methods may
// be called from any goroutine.
type HostKeys struct {
	files Files
	path  string
	log   func(format string, args ...any)

	mu     sync.Mutex // protects the fields below
	seen   fs.FileInfo
	signer ssh.Signer
	fault  string // why the file could not be used; logged once
}

// OpenHostKey loads the host key in dir and never makes one. log takes a line
// about a file that has changed and cannot be used.
func OpenHostKey(files Files, dir string, log func(format string, args ...any)) (*HostKeys, error) {
	h := &HostKeys{files: files, path: filepath.Join(dir, hostKeyFile), log: log}
	info, err := files.Stat(h.path)
	if err == nil {
		err = h.load(info)
	}
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err)
	}
	return h, nil
}

// Signer returns the key for the next client: the last good one while the file
// cannot be used.
func (h *HostKeys) Signer() ssh.Signer {
	now, err := durable.Look(h.files, h.path) // outside the lock: it may take seconds
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil || h.fault == "" && durable.Same(now[0], h.seen) {
		return h.signer
	}
	before := h.fault
	if err := h.load(now[0]); err != nil && h.fault != before {
		h.log("host key: the one of before is used on: %v", err)
	}
	return h.signer
}

// load requires h.mu, unless h is not shared yet.
func (h *HostKeys) load(seen fs.FileInfo) error {
	h.seen, h.fault = seen, ""
	signer, err := loadHostKey(h.files, h.path)
	if err != nil {
		h.fault = err.Error()
		return err
	}
	h.signer = signer
	return nil
}
