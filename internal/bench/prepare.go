package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/norestart/norestart/internal/harness"
)

type bench struct {
	dir             string // removed at the end
	self            string // this program
	norestart, demo string // cmd/norestart and examples/hello
	key             string // file of the key that logs in, with its .pub
	short           bool
}

func prepare(ctx context.Context, short bool) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "norestart-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{dir: dir, key: filepath.Join(dir, "ssh"), self: self, norestart: filepath.Join(dir, "norestart"), demo: filepath.Join(dir, "hello"), short: short}
	err = errors.Join(harness.Build(ctx, dir, harness.Module+"/cmd/norestart", harness.Module+"/examples/hello"), harness.Keygen(ctx, b.key))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return b, nil
}

// turns is how often a pair is measured.
func (b *bench) turns() int { return b.less(5, 2) }

// less is full, or less in a short run.
func (b *bench) less(full, less int) int {
	if b.short {
		return less
	}
	return full
}

// window is how long one turn of a throughput lasts.
func (b *bench) window() time.Duration {
	if b.short {
		return 300 * time.Millisecond
	}
	return 1500 * time.Millisecond
}

// machine says where and when the figures come from.
func machine() string {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		kernel = []byte("unknown")
	}
	return fmt.Sprintf("%s, %d processors (%s), Linux %s, %s; load average at the start: %s",
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), runtime.NumCPU(), processor(), strings.TrimSpace(string(kernel)), runtime.Version(), loadAverage())
}

func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], " ")
}
