package shell

import (
	"context"
	"sync"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
)

// viaLocal marks the sessions of local callers in the audit log.
const viaLocal = "ctl"

// serveLocal runs the commands of local callers until stop ends.
func (s *Server) serveLocal(stop context.Context) {
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		select {
		case call, ok := <-s.host.Local:
			if !ok {
				return
			}
			calls.Go(func() { s.serveCall(call) })
		case <-stop.Done():
			return
		}
	}
}

// serveCall runs one command as root on the machine does: with role admin,
// whoever is or is not among the users.
func (s *Server) serveCall(call LocalCall) {
	sess := s.newSession(nil, viaLocal, "local", identity{name: call.User()}, call.Context(), nil)
	defer sess.close()
	// Reading ends when the conversation does, which Exit brings about.
	start := func(fn func()) bool { s.reading.Go(fn); return true }
	in := &lateLines{open: func() *lines { return readLines(call.Stdin(), start) }}
	defer in.close()
	args := call.Args()
	if args == nil {
		args = []string{}
	}
	status := sess.run(request{
		args: args, mode: commands.Exec, out: call.Stdout(), err: call.Stderr(),
		ask: func(ctx context.Context, prompt string) (string, error) {
			return askPlain(ctx, in.get(), call.Stderr(), prompt)
		},
	})
	sess.sayWhy(call.Stderr())
	if err := call.Exit(status); err != nil {
		s.logf("answer %s: %v", audit.Quote(call.User()), err)
	}
}
