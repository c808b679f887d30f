package certs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/norestart/norestart/internal/durable"
)

// ledgerFile lists the clients' certificates that were issued here, and those
// that were revoked, in the state directory.
const ledgerFile = "client_certs.json"

// lockTimeout is how long an edit of the ledger waits for another one.
const lockTimeout = 10 * time.Second

// ErrUnknownSerial is the error of a certificate that is not in the ledger.
var ErrUnknownSerial = errors.New("no certificate of this serial was issued here")

// Issued is a client's certificate in the ledger.
type Issued struct {
	Serial  string    `json:"serial"` // hexadecimal
	User    string    `json:"user,omitempty"`
	Made    time.Time `json:"made,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"` // zero: it is good
}

type ledger struct {
	Version      int      `json:"version"`
	Certificates []Issued `json:"certificates"`
}

var emptyLedger = []byte(`{"version":1,"certificates":[]}` + "\n")

func serialText(n *big.Int) string { return n.Text(16) }

// List returns the clients' certificates of dir, oldest first.
func List(dir string) ([]Issued, error) {
	l, err := readLedger(durable.Disk{}, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return l.Certificates, err
}

// Revoke marks certificates as revoked: the one with that serial or, if serial is
// empty, all of user. It returns those that it marked. A serial that is not in
// the ledger is marked only if no CA of this directory can have issued it: the
// certificates are then those of another CA.
func Revoke(dir, serial, user string) ([]Issued, error) {
	var marked []Issued
	_, err := OpenCA(dir)
	foreign := errors.Is(err, ErrNoCA)
	serial = strings.TrimLeft(strings.ToLower(strings.ReplaceAll(serial, ":", "")), "0") // as openssl prints it
	if err := checkSerial(serial, user); err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Second)
	err = editLedger(dir, func(l *ledger) error {
		known := false
		for i := range l.Certificates {
			c := &l.Certificates[i]
			if c.Serial != serial && (serial != "" || c.User != user) {
				continue
			}
			known = true
			if c.Revoked.IsZero() {
				c.Revoked = now
				marked = append(marked, *c)
			}
		}
		if !known && serial != "" && foreign {
			l.Certificates = append(l.Certificates, Issued{Serial: serial, Revoked: now})
			marked, known = append(marked, l.Certificates[len(l.Certificates)-1]), true
		}
		if !known {
			return ErrUnknownSerial
		}
		return nil
	})
	return marked, err
}

func checkSerial(serial, user string) error {
	if serial == "" {
		if user == "" {
			return errors.New("no serial")
		}
		return nil
	}
	if _, ok := new(big.Int).SetString(serial, 16); !ok || len(serial) > 40 {
		return fmt.Errorf("%q is not a serial: it is a hexadecimal number", serial)
	}
	return nil
}

func readLedger(files Files, dir string) (ledger, error) {
	path := filepath.Join(dir, ledgerFile)
	data, _, err := durable.ReadSecretFrom(files, path)
	if err != nil {
		return ledger{}, err
	}
	return parseLedger(path, data)
}

func parseLedger(path string, data []byte) (ledger, error) {
	var l ledger
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return ledger{}, fmt.Errorf("%s: %w: restore it from a backup; until then no client's certificate is accepted", path, err)
	}
	if l.Version != 1 || dec.More() {
		return ledger{}, fmt.Errorf("%s: not a list of certificates of version 1", path)
	}
	for _, c := range l.Certificates {
		if n, ok := new(big.Int).SetString(c.Serial, 16); !ok || serialText(n) != c.Serial {
			return ledger{}, fmt.Errorf("%s: %q is not a serial", path, c.Serial)
		}
	}
	return l, nil
}

// editLedger changes the ledger under a lock, whole or not at all.
func editLedger(dir string, change func(*ledger) error) (err error) {
	path := filepath.Join(dir, ledgerFile)
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	lock, err := durable.Acquire(ctx, path+".lock")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	l, err := readLedger(durable.Disk{}, dir)
	if errors.Is(err, fs.ErrNotExist) {
		l, err = ledger{Version: 1}, lostLedger(durable.Disk{}, dir)
	}
	if err != nil {
		return err
	}
	before := slices.Clone(l.Certificates)
	if err := change(&l); err != nil || slices.Equal(before, l.Certificates) {
		return err
	}
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(data, '\n'), 0o600)
}

// lostLedger returns an error if a CA with its key here has no ledger: it has
// lost what was revoked. It does not read the key.
func lostLedger(files Files, dir string) error {
	_, err := files.Stat(filepath.Join(dir, caKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%s is missing and its CA is there: restore it from a backup, or write %q into it (mode 0600) "+
		"to have no certificate revoked", filepath.Join(dir, ledgerFile), strings.TrimSpace(string(emptyLedger)))
}
