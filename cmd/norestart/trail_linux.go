package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
)

// trail writes one command of ctl to the cluster's audit log, as the shell
// worker does with those of the admin port.
type trail struct {
	state string // directory of the log
	err   io.Writer

	record audit.Record // of the start; the zero one: there was none
	began  time.Time
}

// start writes that a command begins. Who may run ctl could as well end the
// cluster or remove the log, so nothing is refused for want of a record; of a
// command for admins it is said.
func (t *trail) start(reg *commands.Registry, args []string) {
	var id [4]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	t.began = time.Now()
	t.record = audit.Record{
		Event: audit.EventStart, Via: "ctl", From: "local", User: localName(),
		Session: hex.EncodeToString(id[:]), Role: commands.Admin.String(), Argv: args,
	}
	err := t.append(t.record)
	if command, _ := reg.Lookup(args); err != nil && command != nil && command.Role == commands.Admin {
		fmt.Fprintf(t.err, "warning: not on the audit log: %v\n", err)
	}
}

// end writes how the command ended, if it began.
func (t *trail) end(status int) {
	if t.began.IsZero() {
		return
	}
	took := time.Since(t.began).Seconds()
	t.record.Event, t.record.Status, t.record.Duration = audit.EventEnd, &status, &took
	_ = t.append(t.record) // it is done
}

func (t *trail) append(r audit.Record) error {
	log, err := audit.Open(filepath.Join(t.state, audit.FileName), audit.Options{})
	if err != nil {
		return err
	}
	defer log.Close()
	return log.Append(r)
}
