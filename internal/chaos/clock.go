package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// clockVariable names the file with the offset of the cluster's wall clock. A
// primary keeps no variable whose name begins with NORESTART_.
const clockVariable = "CHAOS_CLOCK"

// clock steps the wall clock of the cluster alone. CLOCK_REALTIME has no
// namespace (time_namespaces(7)), and a static program asks no library for the
// time that one could replace.
type clock struct {
	path string
	file *os.File
}

func newClock(path string) (*clock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	c := &clock{path: path, file: f}
	if err := c.step(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

// step sets the offset, in all processes at once: they map the file.
func (c *clock) step(d time.Duration) error {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], uint64(int64(d/time.Second)))
	_, err := c.file.WriteAt(b[:], 0)
	return err
}

func (c *clock) close() error { return c.file.Close() }

// clockSource is added to package time.
const clockSource = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var chaosOffset = mapChaosOffset()

func mapChaosOffset() *int64 {
	path, ok := syscall.Getenv("` + clockVariable + `")
	if !ok {
		return new(int64)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("open the clock: " + err.Error())
	}
	defer syscall.Close(fd)
	page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("map the clock: " + err.Error())
	}
	return (*int64)(unsafe.Pointer(&page[0]))
}

func chaosSeconds() int64 { return atomic.LoadInt64(chaosOffset) }
`

// reading is the line of [time.Now] after which the offset is added.
const reading = "\tsec, nsec, mono := runtimeNow()\n"

// overlay writes what "go build -overlay" needs for a package time with an
// offset.
func (c *clock) overlay(dir string) (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find package time: %w", err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	text, err := os.ReadFile(filepath.Join(source, "time.go"))
	if err != nil {
		return "", err
	}
	stepped := strings.Replace(string(text), reading, reading+"\tsec += chaosSeconds()\n", 1)
	if stepped == string(text) {
		return "", errors.New("time.Now of this Go is not as it was: clock.go has to learn it")
	}
	files := map[string]string{"time.go": stepped, "chaos.go": clockSource}
	replace := make(map[string]string)
	for name, content := range files {
		path := filepath.Join(dir, "clock_"+name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(source, name)] = path
	}
	config, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, config, 0o600)
}
