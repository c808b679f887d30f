package workertest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/worker/workertest"
)

var greet = commands.Command{
	Name: "greet", Role: commands.Operator, Summary: "greet somebody", Usage: "NAME",
	Flags: func(flags *pflag.FlagSet) { flags.Bool("ask", false, "for the name") },
	Run: func(_ context.Context, call *commands.Call) error {
		ask, err := call.Flags().GetBool("ask")
		if err != nil {
			return err
		}
		name := strings.Join(call.Args[1:], " ")
		switch {
		case ask:
			if name, err = call.Ask("Whom? "); err != nil {
				return err
			}
		case name == "":
			return commands.Usagef("greet: whom?")
		}
		call.Printf("hello %s, from %s\n", name, call.User)
		return nil
	},
}

// TestOperator: a line is parsed, allowed, run, and told of as at the admin port.
func TestOperator(t *testing.T) {
	all := []commands.Command{greet, {Name: "crash", Role: commands.Viewer, Summary: "panic", Run: func(context.Context, *commands.Call) error { panic("boom") }}}
	for line, tc := range map[string]struct {
		o    workertest.Operator
		want workertest.Result
	}{
		"greet 'dear viola'":   {want: workertest.Result{Out: "hello dear viola, from admin\n"}},
		"greet --ask":          {workertest.Operator{Input: "one\ntwo\n", User: "bob", Mode: commands.Interactive}, workertest.Result{Out: "Whom? hello one, from bob\n"}},
		"greet --ask # script": {want: workertest.Result{Err: "error: end of input\n", Status: 1}},
		"greet":                {want: workertest.Result{Err: "error: greet: whom?\nhint: help greet\n", Status: 2}},
		"greet x # viewer":     {workertest.Operator{Role: commands.Viewer}, workertest.Result{Err: "error: denied: greet needs role operator, you are viewer\n", Status: 77}},
		"status":               {want: workertest.Result{Err: "error: this test has no cluster\nhint: use workertest.StartCluster\n", Status: 1}},
	} {
		tc.o.Commands = all
		if diff := cmp.Diff(tc.want, tc.o.Run(t, line)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
	if got := failure(t, func(t testing.TB) { workertest.Operator{Commands: all}.Run(t, "crash") }); !strings.HasPrefix(got, "workertest: command crash panicked: boom\n") {
		t.Errorf("a panic is told as %q", got)
	}
	if got := failure(t, func(t testing.TB) {
		workertest.Operator{Commands: []commands.Command{{Name: "status", Role: commands.Viewer, Run: greet.Run}}}.Run(t, "status")
	}); got != `workertest: command "status": registered twice` {
		t.Errorf("a command with a name of ours: %q", got)
	}
}
