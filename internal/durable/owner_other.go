//go:build !unix

package durable

import (
	"io/fs"
	"os"
)

const nonblock = 0

func checkOwner(string, fs.FileInfo) error { return nil }

func giveTo(*os.File, string) error { return nil }

// Owner is the uid to whom an open file belongs; -1: unknown.
func Owner(*os.File) int { return -1 }
