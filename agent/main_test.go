package agent

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/norestart/norestart/internal/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// await waits for what must come.
func await(t *testing.T, come func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	if err := harness.Poll(ctx, come); err != nil {
		t.Fatal(err)
	}
}
