package main

import (
	"testing"

	"github.com/norestart/norestart"
	"github.com/norestart/norestart/worker"
	"github.com/norestart/norestart/worker/workertest"
)

// TestStates: the counter goes on with what either version has left, and refuses
// what it cannot read.
func TestStates(t *testing.T) {
	for _, tc := range []struct{ version, state, count, refused string }{
		{"v1.0.0", `{"requests":3}`, "3 requests, earlier 3", ""},
		{"v2.0.0", `{"requests":5,"paths":{"/":2,"/a":3}}`, "5 requests, / 2, /a 3", ""},
		{"v2.0.0", `{"requests":"many"}`, "", "reload: module counter of web/0: AfterReload: state of version v2.0.0: json: cannot unmarshal string into Go struct field state.requests of type int64"},
	} {
		t.Run(tc.state, func(t *testing.T) {
			slot := workertest.Start(t, norestart.Pool{Run: workertest.WithState("counter", worker.State{Version: tc.version, Data: []byte(tc.state)})})
			switch err := slot.Reload(serve); {
			case tc.refused != "":
				if err == nil || err.Error() != tc.refused {
					t.Errorf("the reload ends with %v, want %s", err, tc.refused)
				}
				return
			case err != nil:
				t.Fatal(err)
			}
			if got, err := slot.Call(t.Context(), "count"); err != nil || string(got) != tc.count {
				t.Errorf("the count is %q, %v, want %q", got, err, tc.count)
			}
		})
	}
}
