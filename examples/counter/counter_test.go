package counter

import (
	"testing"

	"github.com/norestart/norestart/internal/e2e"
)

const module = "github.com/norestart/norestart"

func TestMain(m *testing.M) {
	e2e.Main(m, module+"/cmd/norestart", module+"/examples/counter/counter1", module+"/examples/counter/counter2")
}

// TestScript runs the transcripts: a state that changes its format, and back.
func TestScript(t *testing.T) { e2e.Run(t, "testdata/script") }
