package lint

import (
	"fmt"
	"os"
	"testing"
)

// TestMain lets every test name files from the root of the repository.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		fmt.Fprintln(os.Stderr, "error: lint:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
