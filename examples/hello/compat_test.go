package main

import (
	"os"
	"testing"

	"github.com/norestart/norestart/internal/e2e"
)

// TestCompat lets the programs of others loose on the admin port: other clients,
// scanners, a guesser of passwords. What is not installed is left out and named.
func TestCompat(t *testing.T) {
	if os.Getenv("COMPAT") == "" {
		t.Skip("run make compat, or set COMPAT=1")
	}
	e2e.Run(t, "testdata/compat")
}
