package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/norestart/norestart/internal/harness"
)

// goodImages is how many files with the working program there are: each
// reload after a swap finds another one at the path.
const goodImages = 3

// build makes the programs, before anything runs: a file that is open for
// writing while another goroutine forks cannot be executed (golang.org/issue/22315).
func (p *place) build(ctx context.Context, o options) error {
	overlay, err := p.clock.overlay(p.root)
	if err != nil {
		return err
	}
	bin := filepath.Join(p.root, "bin")
	args := []string{"-overlay", overlay, harness.Module + "/cmd/norestart", o.program}
	if o.race {
		args = append([]string{"-race"}, args...)
	}
	if err := harness.Build(ctx, bin, args...); err != nil {
		return err
	}
	p.norestart = filepath.Join(bin, "norestart")
	program, err := os.ReadFile(filepath.Join(bin, filepath.Base(o.program)))
	if err != nil {
		return err
	}
	for i := range goodImages {
		name := filepath.Join(p.disk(), fmt.Sprintf("hello.%d", i))
		if err := os.WriteFile(name, program, 0o700); err != nil {
			return err
		}
		p.images = append(p.images, name)
	}
	if err := os.WriteFile(filepath.Join(p.disk(), "drain"), []byte(o.drain), 0o600); err != nil {
		return err
	}
	if err := p.breakPrograms(program); err != nil {
		return err
	}
	return p.put(p.images[0])
}

// breakPrograms makes programs of which none may come into service.
func (p *place) breakPrograms(program []byte) error {
	p.broken = make(map[string]string)
	for name, text := range map[string][]byte{
		"truncated": program[:len(program)/2],
		"garbage":   []byte(strings.Repeat("\x93\x00chaos", 4096)),
		"empty":     nil,
		"exits":     []byte("#!/bin/sh\nexit 3\n"),
		"unready":   []byte("#!/bin/sh\nexec sleep 1000\n"),
	} {
		p.broken[name] = filepath.Join(p.disk(), "broken."+name)
		if err := os.WriteFile(p.broken[name], text, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// put renames a program over the path, as docs/operations.md tells: the path
// has another inode then, and what runs is untouched.
func (p *place) put(image string) error {
	temp := p.program() + ".new"
	if err := errors.Join(os.RemoveAll(temp), os.Link(image, temp)); err != nil {
		return err
	}
	return os.Rename(temp, p.program())
}
