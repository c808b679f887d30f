package main

import (
	"testing"

	"github.com/norestart/norestart/internal/e2e"
)

const module = "github.com/norestart/norestart"

func TestMain(m *testing.M) {
	e2e.Main(m, module+"/cmd/norestart", module+"/examples/hello")
}

// TestScript runs the transcripts: what users see of a cluster that is well.
func TestScript(t *testing.T) { e2e.Run(t, "testdata/script") }
