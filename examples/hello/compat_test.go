//go:build compat

package main

import (
	"testing"

	"github.com/norestart/norestart/internal/e2e"
)

// TestCompat lets the programs of others loose on the admin port: other clients,
// scanners, a guesser of passwords. What is not installed is left out and named.
func TestCompat(t *testing.T) { e2e.Run(t, "testdata/compat") }
