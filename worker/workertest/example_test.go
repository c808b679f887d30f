package workertest_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/worker"
	"github.com/norestart/norestart/worker/workertest"
)

func serve(ctx context.Context, w *worker.Worker) error {
	ln, err := w.Listener("web")
	if err != nil {
		return err
	}
	return w.ServeHTTP(ctx, &http.Server{Handler: w.Router()}, ln)
}

// A worker is started, asked, and replaced.
func ExampleStart() {
	var t *testing.T // as the test gets it
	slot := workertest.Start(t, norestart.Pool{Run: serve})
	resp, err := slot.Client().Get(slot.URL() + "/hello")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := slot.Reload(serve); err != nil {
		t.Fatal(err)
	}
}

// What an earlier version has left is kept in the test, byte by byte.
func ExampleWithState() {
	var t *testing.T // as the test gets it
	slot := workertest.Start(t, norestart.Pool{Run: workertest.WithState("counter", worker.State{
		Version: "v1.0.0", Data: []byte(`{"requests":3}`),
	})})
	if err := slot.Reload(serve); err != nil {
		t.Error("this version cannot read it:", err)
	}
}
