package shell

import (
	"context"
	"time"
)

const (
	// calm is how long nobody must have connected for a rush to be over.
	calm = 10 * time.Second
	// passes is how often memory is given back after it: a goroutine's stack
	// shrinks by a half each time.
	passes = 2
)

// tidy gives memory back when a rush of connections is over. The runtime would
// keep some of it for the next one, and look at it no sooner than two minutes
// after the last time.
func (s *Server) tidy(ctx context.Context, free func()) {
	tick := time.NewTicker(calm)
	defer tick.Stop()
	for seen, left := s.rushes.Load(), 0; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := s.rushes.Load()
		switch {
		case now != seen:
			seen, left = now, passes
		case left > 0:
			left--
			free()
		}
	}
}
