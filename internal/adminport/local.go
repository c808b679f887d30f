package adminport

import (
	"context"
	"sync"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/audit"
)

const viaLocal = "ctl"

// serveLocal runs the commands of local callers until stop ends.
func (s *Server) serveLocal(stop context.Context) {
	var calls sync.WaitGroup
	defer calls.Wait()
	if s.host.Local == nil {
		return
	}
	for {
		call, ok := s.host.Local(stop)
		if !ok {
			return
		}
		calls.Go(func() { s.serveCall(call) })
	}
}

// serveCall runs one command with the role admin, as for root on the machine.
func (s *Server) serveCall(call LocalCall) {
	ctx := call.Context()
	if ctx.Err() != nil { // the caller believes that nothing was done
		_ = call.Exit(commands.StatusCancelled)
		return
	}
	sess := s.newSession(nil, viaLocal, "local", identity{name: call.User()}, ctx, nil)
	defer sess.close()
	// Reading ends with the conversation, which Exit ends.
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
		s.host.Log("answer %s: %v", audit.Quote(call.User()), err)
	}
}
