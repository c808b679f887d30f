package main

import (
	"testing"
	"time"

	"github.com/norestart/norestart/control"
)

// A command that ends between the questions of a look scales slots away, too.
func TestFloorCountsEndedScaling(t *testing.T) {
	status := control.Status{Pools: []control.PoolStatus{{Name: webPool, Target: 4}}}
	w := newWatcher(nil, nil)
	before := time.Now()
	w.scale(3)()
	if got := w.floor(status, before); got != 3 {
		t.Errorf("after a scale to 3 within the look the floor is %d, want 3", got)
	}
	if got := w.floor(status, time.Now().Add(time.Nanosecond)); got != 4 {
		t.Errorf("at the next look the floor is %d, want 4", got)
	}
}
