package main

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// crowdSize is many times what all processes of a pool's user that are no workers
// may have.
const crowdSize = 600

// crowd makes connections to a socket as a user, says nothing on them, and makes
// each again that is closed, until it is killed.
func crowd(socket, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid) // a number on Linux
	gid, _ := strconv.Atoi(u.Gid)
	for _, err := range []error{syscall.Setgroups(nil), syscall.Setgid(gid), syscall.Setuid(uid)} {
		if err != nil {
			return err
		}
	}
	var first sync.WaitGroup
	for range crowdSize {
		first.Add(1)
		met := sync.OnceFunc(first.Done)
		go func() { // until the process is killed
			for ; ; time.Sleep(200 * time.Millisecond) {
				c, err := net.Dial("unix", socket)
				if err != nil {
					continue
				}
				met()
				_, _ = c.Read(make([]byte, 1)) // until it is closed
				_ = c.Close()
			}
		}()
	}
	first.Wait()
	fmt.Fprintln(os.Stdout, "crowded")
	select {}
}
