package seize

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// What the processes of these tests do.
var roles = map[string]func() error{
	"launch":               launch,
	"launch twice":         launchTwice,
	"launch as anybody":    launchAsAnybody,
	"serve":                serve,
	"serve in a child":     serveInChild,
	"listen elsewhere":     listenElsewhere,
	"listen by hand":       listenByHand,
	"poll before":          pollBefore,
	"hide":                 hide,
	"listen under signals": listenUnderSignals,
}

// launch does what a launcher does; descriptor 3 is a unix socket.
func launch() error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	notify, err := Install()
	if err != nil {
		return err
	}
	if err := Send(3, notify); err != nil {
		return err
	}
	unix.CloseOnExec(3)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Setenv(roleVariable, os.Getenv(programVariable)); err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, os.Environ())
}

func launchTwice() error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, err := Install(); err != nil {
		return err
	}
	_, err := Install()
	return err
}

// launchAsAnybody has no no_new_privs, nor the capability to do without.
func launchAsAnybody() error {
	runtime.LockOSThread()
	if err := dropCapability(unix.CAP_SYS_ADMIN); err != nil {
		return err
	}
	_, err := Install()
	return err
}

// dropCapability takes a capability from this thread (capabilities(7)).
func dropCapability(c int) error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return err
	}
	data[c/32].Effective &^= 1 << (c % 32)
	return unix.Capset(&head, &data[0])
}

// serve is a server that knows only PORT. It tells each client its pid.
func serve() error {
	ln, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	fmt.Println("listening on", ln.Addr())
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintln(c, os.Getpid())
		c.Close()
	}
}

// serveInChild is npm start or sh -c: the server is a child.
func serveInChild() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"=serve")
	cmd.Stdout = os.Stdout
	return cmd.Run()
}

// listenElsewhere listens on a unix socket and on a port of its own, before it
// serves.
func listenElsewhere() error {
	local, err := net.Listen("unix", fmt.Sprint("@seize ", os.Getpid())) // an abstract name: no file
	if err != nil {
		return err
	}
	defer local.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	fmt.Println("listening on", ln.Addr())
	return serve()
}

// listenByHand listens on both families, one socket blocking and one not, one
// that exec closes and one that it does not, and then once more. It also makes
// calls that the kernel refuses.
func listenByHand() error {
	fmt.Println("closed:", unix.Listen(1000, 5))
	fmt.Println("not a socket:", unix.Listen(0, 5))
	first, err := bound(unix.AF_INET, 0)
	if err != nil {
		return err
	}
	second, err := bound(unix.AF_INET6, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return err
	}
	for _, fd := range []int{first, second, first} {
		if err := unix.Listen(fd, 5); err != nil {
			return err
		}
		cloexec, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil {
			return err
		}
		fmt.Printf("port %d closeonexec %d\n", boundTo(fd), cloexec)
	}
	return untilKilled()
}

func bound(family, flags int) (int, error) {
	port, err := strconv.Atoi(os.Getenv("PORT"))
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|flags, 0)
	if err != nil {
		return -1, err
	}
	if family == unix.AF_INET {
		return fd, unix.Bind(fd, &unix.SockaddrInet4{Port: port})
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
		return -1, err
	}
	return fd, unix.Bind(fd, &unix.SockaddrInet6{Port: port})
}

// pollBefore polls its socket before it listens.
func pollBefore() error {
	fd, err := bound(unix.AF_INET, unix.SOCK_NONBLOCK)
	if err != nil {
		return err
	}
	set, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	if err := unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		return err
	}
	if err := unix.Listen(fd, 5); err != nil {
		return err
	}
	fmt.Println("listening")
	return untilKilled()
}

// hide lets no process of its user look into it.
func hide() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return err
	}
	return serve()
}

// listenUnderSignals gets signals while it calls listen. Their handler has
// SA_RESTART, so that the call begins again.
func listenUnderSignals() error {
	fd, err := bound(unix.AF_INET, 0)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	thread := unix.Gettid()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Tgkill(os.Getpid(), thread, unix.SIGURG) // Go's own, which does nothing
			}
		}
	}()
	err = unix.Listen(fd, 5)
	close(stop)
	<-stopped
	if err != nil {
		return err
	}
	fmt.Println("port", boundTo(fd))
	return untilKilled()
}

// untilKilled keeps a program that has nothing to do.
func untilKilled() error {
	for {
		_ = unix.Pause() // Go's own signals end it
	}
}
