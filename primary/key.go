package primary

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/norestart/norestart/internal/durable"
	"github.com/norestart/norestart/internal/proc"
)

const (
	// keyFile holds the key of the workers' secrets.
	keyFile = "key"
	keySize = 32
)

// takeKey is the key of the workers' secrets, made at the first start. The key of
// the record comes first, because living workers have their secrets by it: if the
// file is missing or differs, it is written again.
func takeKey(state string, r *record) ([]byte, error) {
	key, stored, err := findKey(state, r)
	path := filepath.Join(state, keyFile)
	switch {
	case err != nil:
		return nil, err
	case key == nil:
		key = make([]byte, keySize)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("make the key: %w", err)
		}
		return key, durable.WriteFile(path, key, 0o600)
	case !stored:
		_ = durable.WriteFile(path, key, 0o600) // the disk may be full; the record has it
	}
	return key, nil
}

// findKey is the existing key, and whether its file holds it; nil: there is none,
// and no worker that would need it.
func findKey(state string, r *record) (key []byte, stored bool, err error) {
	path := filepath.Join(state, keyFile)
	key, _, err = durable.ReadSecret(path)
	missing := errors.Is(err, os.ErrNotExist)
	switch {
	case err != nil && !missing:
		return nil, false, err
	case r != nil && !r.Stopped && len(r.Key) == keySize:
		return r.Key, bytes.Equal(key, r.Key), nil
	case missing && r.lives():
		return nil, false, fmt.Errorf("%w: workers of the last primary live and prove themselves by it: put it back, or end them by norestart stop --orphans", err)
	case missing:
		return nil, false, nil
	case len(key) != keySize:
		return nil, false, fmt.Errorf("%s: %d bytes, must be %d: remove it while no cluster runs", path, len(key), keySize)
	}
	return key, true, nil
}

// CheckKey reports whether a primary that takes over here would know its workers.
func CheckKey(state string) error {
	r, err := loadRecord(state)
	if err != nil {
		r = nil // the start will report it
	}
	_, _, err = findKey(state, r)
	return err
}

func (r *record) lives() bool {
	if r == nil || r.BootID != bootID() {
		return false
	}
	for _, p := range r.Pools {
		for _, s := range p.Slots {
			for _, pr := range s.processes() {
				if start, err := proc.StartTime(pr.PID); err == nil && start == pr.Start && !proc.Ended(pr.PID) {
					return true
				}
			}
		}
	}
	return false
}
