package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
	"github.com/norestart/norestart/internal/commandline"
)

// trail writes one command of ctl to the cluster's audit log, as the shell
// worker does with those of the admin port.
type trail struct {
	state string // directory of the log
	err   io.Writer

	record audit.Record // of the start; zero: none was written
	began  time.Time
}

// start records that a command begins. A user who may run ctl could also stop
// the cluster or remove the log, so a missing record refuses nothing; for a
// command of admins ctl prints a warning.
func (t *trail) start(reg *commandline.Registry, args []string) {
	needs := commands.NoRole
	if command, _ := reg.Lookup(args); command != nil {
		needs = command.Role
	}
	t.begin("ctl", localName(), needs, args)
}

func (t *trail) begin(via, user string, needs commands.Role, args []string) {
	var id [4]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	t.began = time.Now()
	t.record = audit.Record{
		Event: audit.EventStart, Via: via, From: "local", User: user,
		Session: hex.EncodeToString(id[:]), Role: commands.Admin.String(), Argv: args,
	}
	if needs != commands.NoRole {
		t.record.Needs = needs.String()
	}
	if err := t.append(t.record); err != nil && needs == commands.Admin {
		fmt.Fprintf(t.err, "warning: not on the audit log: %v\n", err)
	}
}

// recorded carries out a change of users or keys and records who made it. args
// describe the change without secrets.
func recorded(std streams, state string, args []string, do func() error) error {
	t := trail{state: state, err: std.err}
	t.begin("tool", fmt.Sprintf("norestart uid=%d pid=%d", os.Getuid(), os.Getpid()), commands.Admin, args)
	err := do()
	status := commands.StatusOK
	if err != nil {
		status = commands.StatusFailed
		t.record.Reason = err.Error()
	}
	t.end(status)
	return err
}

// end records how the command ended, if its start was recorded.
func (t *trail) end(status int) {
	if t.began.IsZero() {
		return
	}
	took := time.Since(t.began).Seconds()
	t.record.Event, t.record.Status, t.record.Duration = audit.EventEnd, &status, &took
	_ = t.append(t.record) // the command is done: too late to refuse it
}

func (t *trail) append(r audit.Record) (err error) {
	state, back, err := actAs(t.state)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, back()) }()
	log, err := audit.Open(filepath.Join(state, audit.FileName), audit.Options{})
	if err != nil {
		return err
	}
	defer log.Close()
	return log.Append(r)
}
