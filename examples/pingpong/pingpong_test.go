package pingpong

import (
	"testing"

	"github.com/norestart/norestart/internal/e2e"
)

const module = "github.com/norestart/norestart"

func TestMain(m *testing.M) {
	e2e.Main(m, module+"/cmd/norestart", module+"/examples/pingpong/pingpong", module+"/examples/pingpong/pingpong-check")
}

// TestScript runs the transcripts: messages over reloads, execs and kills.
func TestScript(t *testing.T) { e2e.Run(t, "testdata/script") }
