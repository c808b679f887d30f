package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
)

var foo = commands.Command{
	Name: "foo", Role: commands.Viewer, Summary: "print each word", Usage: "[WORD…]",
	Run: func(_ context.Context, call *commands.Call) error {
		for _, word := range call.Args {
			fmt.Fprintln(call.Out, commands.Safe(word))
		}
		return nil
	},
}

var bar = commands.Command{
	Name: "bar", Role: commands.Admin, Summary: "print the words in reverse, then restart", Usage: "[WORD…]",
	Run: func(ctx context.Context, call *commands.Call) error {
		for _, word := range slices.Backward(call.Args) {
			fmt.Fprintln(call.Out, commands.Safe(word))
		}
		_, err := call.Primary.Do(ctx, control.RestartRequest{}, nil) // returns once accepted
		return err
	},
}

var baz = commands.Command{
	Name: "baz", Role: commands.Operator, Summary: "double a number",
	Run: func(_ context.Context, call *commands.Call) error {
		text, err := call.Ask("Give me a number: ")
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
		if err != nil {
			return fmt.Errorf("not a number: %q", text)
		}
		fmt.Fprintf(call.Out, "%d*2 = %d\n", n, 2*n)
		return nil
	},
}

var flush = commands.Command{
	Name: "flush", Role: commands.Operator, Summary: "print each worker's count of requests and set it to 0",
	Run: func(ctx context.Context, call *commands.Call) error {
		return ask(ctx, call, control.CallRequest{Pool: "web", Handler: "flush"})
	},
}

var finish = commands.Command{
	Name: "finish", Role: commands.Operator, Summary: "let workers exit with status 0", Usage: "ID…",
	Complete: func(ctx context.Context, call *commands.Call, _ string) ([]string, error) {
		workers, err := control.Get(ctx, call.Primary, control.WorkersQuery{})
		var ids []string
		for _, w := range workers {
			if w.Pool == "web" && !slices.Contains(call.Args, w.ID) {
				ids = append(ids, w.ID)
			}
		}
		return ids, err
	},
	Run: func(ctx context.Context, call *commands.Call) error {
		return ask(ctx, call, control.CallRequest{Pool: "web", Handler: "finish", Args: call.Args[1:]})
	},
}

// ask prints what each worker answers, in the order in which they do, and names
// those that did not.
func ask(ctx context.Context, call *commands.Call, r control.CallRequest) error {
	var failed []string
	err := control.Watch(ctx, call.Primary, r, func(reply control.CallReply) error {
		switch {
		case reply.Error != "":
			failed = append(failed, reply.Worker+": "+reply.Error)
		case len(reply.Data) > 0:
			fmt.Fprintln(call.Out, reply.Worker, string(reply.Data))
		}
		return nil
	})
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("%s", strings.Join(failed, "; "))
	}
	return err
}
