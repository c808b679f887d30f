package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// activate executes a program with listening sockets, "NAME=ADDRESS,…", and notes
// their addresses in the file "given".
func activate(addresses string, argv []string) {
	var names, bound []string
	var copies []int // above the numbers that they get
	for a := range strings.SplitSeq(addresses, ",") {
		name, addr, _ := strings.Cut(a, "=")
		network := "tcp"
		if strings.HasPrefix(addr, "/") {
			network = "unix"
		}
		var lc net.ListenConfig
		lc.SetMultipathTCP(false)
		ln, err := lc.Listen(context.Background(), network, addr)
		if err != nil {
			log.Fatal(err)
		}
		f, err := ln.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			log.Fatal(err)
		}
		to := 100 + len(copies)
		if err := syscall.Dup3(int(f.Fd()), to, syscall.O_CLOEXEC); err != nil {
			log.Fatal(err)
		}
		names, bound, copies = append(names, name), append(bound, ln.Addr().String()), append(copies, to)
	}
	if err := os.WriteFile("given", []byte(strings.Join(bound, "\n")+"\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		log.Fatal(err)
	}
	env := append(os.Environ(), fmt.Sprintf("LISTEN_PID=%d", os.Getpid()), fmt.Sprintf("LISTEN_FDS=%d", len(copies)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	for i, fd := range copies {
		if err := syscall.Dup3(fd, 3+i, 0); err != nil {
			log.Fatal(err)
		}
	}
	log.Fatal(syscall.Exec(path, argv, env))
}
