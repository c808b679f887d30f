package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/norestart/norestart/internal/harness"
)

// binVariable tells Run where Main has put the programs.
const binVariable = "NORESTART_E2E_BIN"

const ctlScript = "#!/bin/sh\nexec norestart ctl --dir \"$DIR\" \"$@\"\n"

// Main builds the programs, runs the tests and ends the process. The programs
// watch for races when the test does.
func Main(m *testing.M, packages ...string) {
	os.Exit(main(m, packages))
}

func main(m *testing.M, packages []string) int {
	bin, err := os.MkdirTemp("", "norestart-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "error: e2e:", err)
		return 1
	}
	defer os.RemoveAll(bin)
	if err := build(bin, packages); err != nil {
		fmt.Fprintln(os.Stderr, "error: e2e:", err)
		return 1
	}
	// testscript leaves its directory behind when -run chose some scripts only.
	if err := os.Setenv("GOTMPDIR", bin); err != nil {
		fmt.Fprintln(os.Stderr, "error: e2e:", err)
		return 1
	}
	return m.Run()
}

func build(bin string, packages []string) error {
	if raceDetector() {
		packages = append([]string{"-race"}, packages...)
	}
	if err := harness.Build(context.Background(), bin, packages...); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(bin, "ctl"), []byte(ctlScript), 0o700); err != nil {
		return err
	}
	return os.Setenv(binVariable, bin)
}

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}
