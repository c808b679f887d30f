// Package proctest has processes that a test drives, and the test that they
// and the real ones pass.
//
// Invariant: a scripted process does what a real one would and nothing by
// itself: it ends when the test says so, or by SIGKILL, which nothing resists.
//
//	s := proctest.New()
//	p, _ := s.Start(proc.Command{Path: "/bin/web"})
//	…
//	s.Processes()[0].Exit(3)
//	e := <-p.Wait()
package proctest
