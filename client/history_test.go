package client

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHistoryKeeps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "history")
	h, err := OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"status", "status", " scale web 9", "", "  ", "user add x --password=geheim", "login token abc", "worker info", "a\x1b[2Jb", "status",
	} {
		h.Keep(line)
	}
	again, err := OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"status", "worker info", "status"}, again.Lines()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
}

func TestHistoryIsCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	var text strings.Builder
	for i := range 2*maxHistory + 1 {
		text.WriteString("scale web " + strconv.Itoa(i) + "\n")
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := OpenHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := h.Lines()
	if got := []any{len(lines), lines[len(lines)-1]}; !cmp.Equal(got, []any{maxHistory, "scale web " + strconv.Itoa(2*maxHistory)}) {
		t.Errorf("lines: %v", got)
	}
	kept, err := os.ReadFile(path)
	if err != nil || strings.Count(string(kept), "\n") != maxHistory {
		t.Errorf("%d lines kept, error %v", strings.Count(string(kept), "\n"), err)
	}
}

func TestHistoryRefusesOpenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	if err := os.WriteFile(path, []byte("status\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h, err := OpenHistory(path)
	if err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("error %v", err)
	}
	if h.Keep("status"); len(h.Lines()) != 1 {
		t.Errorf("lines %q", h.Lines())
	}
}
