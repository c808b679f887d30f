package main

import (
	"io"
	"testing"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/worker"
	"github.com/norestart/norestart/worker/workertest"
)

func TestCountSurvivesReload(t *testing.T) {
	slot := workertest.Start(t, norestart.Pool{Run: serve})
	want(t, slot, "request 1\n")
	if err := slot.Reload(serve); err != nil {
		t.Fatal(err)
	}
	want(t, slot, "request 2\n")
}

// TestWayBack: this version goes on with the state of the second.
func TestWayBack(t *testing.T) {
	slot := workertest.Start(t, norestart.Pool{Run: workertest.WithState("counter", worker.State{
		Version: "v2.0.0", Data: []byte(`{"requests":5,"paths":{"/":2,"/a":3}}`),
	})})
	if err := slot.Reload(serve); err != nil {
		t.Fatal(err)
	}
	want(t, slot, "request 6\n")
}

func want(t *testing.T, slot *workertest.Slot, answer string) {
	t.Helper()
	resp, err := slot.Client().Get(slot.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != answer {
		t.Errorf("the answer is %q, %v, want %q", got, err, answer)
	}
}
