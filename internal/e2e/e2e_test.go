package e2e_test

import (
	"testing"

	"github.com/norestart/norestart/internal/e2e"
)

const module = "github.com/norestart/norestart"

func TestMain(m *testing.M) {
	e2e.Main(m, module+"/cmd/norestart", module+"/examples/hello", module+"/internal/e2e/faulty", module+"/internal/e2e/foreign")
}

// TestScript runs the transcripts: what users see when something is wrong.
func TestScript(t *testing.T) { e2e.Run(t, "testdata/script") }
