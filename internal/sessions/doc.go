// Package sessions has the questions that commands ask every process of the
// admin port, and their answers, which are JSON.
//
// A replaced process answers as long as it has sessions of its own.
package sessions

import "time"

// The names of the handlers, as control.CallRequest has them.
const (
	HandlerList     = "session.list"    // answer: list of Session
	HandlerEnd      = "session.end"     // arguments: ID, user; answer: how many
	HandlerBlocked  = "session.blocked" // answer: list of Blocked
	HandlerUnblock  = "session.unblock" // argument: address or network; answer: how many
	HandlerCommands = "commands.digest" // argument: digest of the commands of a newer process; no answer
)

// Session is one session of the admin port.
type Session struct {
	ID      string    `json:"id"`
	User    string    `json:"user"`
	Role    string    `json:"role"`
	Via     string    `json:"via"` // ssh, tls or ctl
	From    string    `json:"from"`
	Key     string    `json:"key,omitempty"` // fingerprint
	Since   time.Time `json:"since"`
	Command string    `json:"command,omitempty"` // that runs now
	PID     int       `json:"pid"`               // of the shell worker that holds it
}

// Blocked is one source whose connections are refused.
type Blocked struct {
	Source string    `json:"source"` // an address, or a network of IPv6
	Until  time.Time `json:"until"`
	Failed int       `json:"failed"` // logins
	Users  []string  `json:"users"`  // some of the names that were tried
}
