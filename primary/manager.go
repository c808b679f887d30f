package primary

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/notify"
)

// Variables of a service manager that wants to hear WATCHDOG=1
// (sd_watchdog_enabled(3)).
const (
	watchdogVariable    = "WATCHDOG_USEC"
	watchdogPIDVariable = "WATCHDOG_PID"
)

// manager is what the service manager that has started this process, as systemd
// with Type=notify, was told of the cluster as a whole (sd_notify(3)).
type manager struct {
	status    string
	reloading bool
	failed    string // why it could not be told
}

// tellManager sends fields; that it fails is told once.
func (l *loop) tellManager(fields string) {
	failed := ""
	if err := notify.Tell(fields); err != nil {
		failed = err.Error()
	}
	if failed != "" && failed != l.manager.failed {
		l.tell(control.Event{Kind: control.EventClusterTrouble, Text: failed})
	}
	l.manager.failed = failed
}

// readiness is the cluster in one line.
func (l *loop) readiness() string {
	var sum control.PoolStatus
	for _, p := range l.pools {
		if st := p.status(); !st.BuiltIn {
			sum.Ready, sum.Target, sum.Stopped, sum.Done = sum.Ready+st.Ready, sum.Target+st.Target, sum.Stopped+st.Stopped, sum.Done+st.Done
		}
	}
	return sum.Readiness()
}

// reportReload tells the beginning of the first and the end of the last of the
// jobs that replace workers.
func (l *loop) reportReload() {
	if !l.greeted || l.stopping {
		return
	}
	kind := ""
	for _, j := range l.running() {
		if j.Kind == "reload" || j.Kind == "rollback" || j.Kind == kindConfig {
			kind = j.Kind
		}
	}
	if l.manager.reloading == (kind != "") {
		return
	}
	l.manager.reloading = kind != ""
	if kind == "" {
		l.manager.status = l.readiness()
		l.tellManager("READY=1\nSTATUS=" + l.manager.status)
		return
	}
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // fails for clocks that the kernel has not
	l.manager.status = kind
	l.tellManager(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d\nSTATUS=%s", now.Nano()/1000, kind))
}

// reportStatus tells, each second, what has changed, and that the loop runs if
// the manager wants to hear it.
func (l *loop) reportStatus() {
	fields := ""
	if now := l.readiness(); l.greeted && !l.stopping && !l.manager.reloading && now != l.manager.status {
		l.manager.status = now
		fields = "STATUS=" + now
	}
	if watched() {
		fields += "\nWATCHDOG=1"
	}
	if fields != "" {
		l.tellManager(fields)
	}
}

func watched() bool {
	of := os.Getenv(watchdogPIDVariable)
	return os.Getenv(watchdogVariable) != "" && (of == "" || of == strconv.Itoa(os.Getpid()))
}
