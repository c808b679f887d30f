package control

import (
	"strings"
	"time"
)

// Probe is how the agent asks a process how it is: exactly one of HTTP, TCP and Exec.
type Probe struct {
	// HTTP is what a GET must answer with a status from 200 to 399 for: a URL, or a
	// path at the address that the process has for itself.
	HTTP string
	Host string // of that request; empty: that of the URL, or localhost
	// TCP is an address that must take a connection; TCPPort: that of the process
	// itself.
	TCP string
	// Exec is a program that must exit with status 0. It runs in the directory,
	// with the environment and as the user of the pool.
	Exec []string

	Every   time.Duration // from an answer to the next question
	Timeout time.Duration // of one question
	// Fail is how many failures in a row make a worker unhealthy.
	Fail int
	// StartPeriod is how long nothing counts after a worker became ready.
	StartPeriod time.Duration
}

// Own reports whether the probe reaches one process and no other of its slot.
func (p *Probe) Own() bool {
	return len(p.Exec) > 0 || p.TCP == TCPPort || strings.HasPrefix(p.HTTP, "/")
}

// String is what is asked, as "GET /healthz".
func (p *Probe) String() string {
	switch {
	case p == nil:
		return "none"
	case p.HTTP != "":
		return "GET " + p.HTTP
	case p.TCP != "":
		return "tcp " + p.TCP
	}
	return strings.Join(p.Exec, " ")
}

// TCPPort as the address of a [Probe] is the one that the process has for itself.
const TCPPort = "PORT"

// Health is what probes say of a worker; empty: nothing, yet.
type Health string

// The words of [Health].
const (
	Passing   Health = "passing"
	Failing   Health = "failing"   // the last ones failed, but not often enough
	Unhealthy Health = "unhealthy" // it is to be replaced
)

// ProbedRequest tells what a probe found. It makes no job.
type ProbedRequest struct {
	ID          string // of the worker
	Incarnation uint64 // of its process
	Live        bool   // it was the one for [PoolSpec.Live], else for [PoolSpec.ReadyProbe]
	Failure     string // why it failed; empty: it passed
}

func (ProbedRequest) change() {}
