package workertest_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/commands"
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

// The processes of a cluster are the test binary, which TestMain makes the
// application:
//
//	func TestMain(m *testing.M) {
//		workertest.Main(norestart.App{Name: "shop", Pools: pools})
//		m.Run()
//	}
func ExampleStartCluster() {
	var t *testing.T // as the test gets it
	cluster := workertest.StartCluster(t)
	resp, err := cluster.Client().Get(cluster.URL("web"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := cluster.Reload(); err != nil {
		t.Fatal(err)
	}
}

// A command is typed as at the admin port.
func ExampleOperator() {
	var t *testing.T // as the test gets it
	double := commands.Command{Name: "double", Role: commands.Viewer, Summary: "double a number", Run: func(_ context.Context, call *commands.Call) error {
		words, err := call.Words(1, 1)
		if err == nil {
			call.Printf("%s%s\n", words[0], words[0])
		}
		return err
	}}
	operator := workertest.Operator{Commands: []commands.Command{double}}
	if r := operator.Run(t, "double 4"); r.Status != commands.StatusOK || r.Out != "44\n" {
		t.Errorf("double 4: %+v", r)
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
