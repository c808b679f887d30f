package doctor

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/inherit"
)

// least is the oldest kernel that norestart runs on.
const leastMajor, leastMinor = 5, 10

func (d *doctor) kernel() {
	var name unix.Utsname
	var major, minor int
	if err := unix.Uname(&name); err == nil {
		release := unix.ByteSliceToString(name.Release[:])
		_, _ = fmt.Sscanf(release, "%d.%d", &major, &minor) // 0.0 is told below
		if major < leastMajor || major == leastMajor && minor < leastMinor {
			d.bites("kernel", "Linux "+release, fmt.Sprintf("norestart needs Linux %d.%d or newer", leastMajor, leastMinor))
		} else {
			d.well("kernel", "Linux %s", release)
		}
	}
	d.steering()
	fd, err := unix.PidfdOpen(unix.Getpid(), 0)
	if err != nil {
		d.bites("pidfd", err.Error(), "the ends of workers that a next primary adopts are found by it: allow pidfd_open(2), which a container may forbid (--security-opt seccomp)")
	} else {
		_ = unix.Close(fd)
		d.well("pidfd", "may be used")
	}
	action := uint32(unix.SECCOMP_RET_USER_NOTIF)
	const getActionAvail = 2 // SECCOMP_GET_ACTION_AVAIL
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, getActionAvail, 0, uintptr(unsafe.Pointer(&action)))
	if errno != 0 {
		d.note("seccomp", "user notification: "+errno.Error(), "programs that know only PORT cannot share an address here")
	} else {
		d.well("seccomp", "user notification may be used")
	}
}

func (d *doctor) steering() {
	g, err := inherit.Open(loopback, inherit.Slots)
	if err != nil {
		d.bites("steering", "listen on 127.0.0.1: "+err.Error(), "let this user open sockets of the loopback interface")
		return
	}
	defer g.Close()
	if g.Mode() != inherit.Slots {
		d.bites("steering", "the kernel refuses a program that steers connections (SO_ATTACH_REUSEPORT_CBPF): all workers accept from one socket, and a connection may come to one that is ending", "run on a kernel that has it, not on gVisor")
		return
	}
	d.well("steering", "connections go to the workers that are ready")
}

// Descriptors and processes that a cluster needs beside its connections: each
// worker has a pipe, a pidfd, sockets and a conversation in the primary.
const (
	descriptorsBase, descriptorsWorker = 64, 10
	processesBase, processesWorker     = 32, 16 // threads count
	connections                        = 1024   // of one worker, at least
)

func (d *doctor) limits() {
	for _, l := range []struct {
		name, unit string
		resource   int
		need       uint64
	}{
		{"nofile", "LimitNOFILE", unix.RLIMIT_NOFILE, uint64(max(connections, descriptorsBase+descriptorsWorker*d.cluster.Workers))},
		{"nproc", "LimitNPROC", unix.RLIMIT_NPROC, uint64(processesBase + processesWorker*d.cluster.Workers)},
	} {
		var have unix.Rlimit
		if err := unix.Getrlimit(l.resource, &have); err != nil {
			continue
		}
		about := "limit " + l.name
		if have.Max < l.need {
			d.bites(about, fmt.Sprintf("%d, and %d workers need about %d", have.Max, d.cluster.Workers, l.need),
				fmt.Sprintf("%s=65536 in the unit, or ulimit and /etc/security/limits.d", l.unit))
			continue
		}
		d.well(about, "%s", limitText(have.Max))
	}
}

func limitText(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

func mendListen(err error) string {
	switch inUse, taken := errors.AsType[*inherit.InUseError](err); {
	case taken && inUse.PID > 0:
		return fmt.Sprintf("stop pid %d (%s), or listen elsewhere", inUse.PID, inUse.Name)
	case taken:
		return "find who listens there as root: ss -tlnp"
	case errors.Is(err, unix.EACCES):
		return "AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or sysctl net.ipv4.ip_unprivileged_port_start"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "the machine does not have this address: ip address"
	}
	return "listen elsewhere"
}

// The clock of certificates and logs.
func (d *doctor) clock(now time.Time) {
	var t unix.Timex
	if now.Year() < 2025 {
		d.bites("clock", now.Format(time.RFC3339), "set it: the admin port's certificates are not valid yet")
		return
	}
	if _, err := unix.Adjtimex(&t); err == nil && t.Status&unix.STA_UNSYNC != 0 {
		d.note("clock", now.Format(time.RFC3339)+", which nothing keeps right", "timedatectl set-ntp true, or chrony")
		return
	}
	d.well("clock", "%s", now.Format(time.RFC3339))
}
