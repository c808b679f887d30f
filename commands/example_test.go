package commands_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/commands"
)

// A command that asks for what it needs. Registered in shell.Config, an operator
// types "double --times 2".
var double = commands.Command{
	Name: "double", Role: commands.Operator, Summary: "double a number",
	Flags: func(flags *pflag.FlagSet) { flags.Int("times", 1, "how `often`") },
	Run: func(_ context.Context, call *commands.Call) error {
		times, err := call.Flags().GetInt("times")
		if err != nil {
			return err
		}
		text, err := call.Ask("Give me a number: ")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return commands.Usagef("not a number: %q", text)
		}
		if call.JSON {
			return call.WriteJSON(map[string]int{"doubled": n << times})
		}
		call.Printf("%d\n", n<<times)
		return nil
	},
}

// A test runs a command as the admin port does when the role suffices.
func ExampleCommand() {
	run := func(json bool, typed string, words ...string) {
		call := &commands.Call{
			Args: append([]string{"double"}, words...), JSON: json, Out: os.Stdout,
			Prompt: func(string) (string, error) { return typed, nil },
		}
		err := call.ParseFlags(double.Flags)
		if err == nil {
			err = double.Run(context.Background(), call)
		}
		if err != nil {
			fmt.Println("error:", err)
		}
	}
	run(false, "21")
	run(true, "21", "--times", "2")
	run(false, "many")
	run(false, "21", "--often")
	// Output:
	// 42
	// {"version":1,"doubled":84}
	// error: not a number: "many"
	// error: double: unknown flag: --often
}

// A failure with more than its text: what to do instead, a code for programs, an
// exit status.
func ExampleError() {
	err := &commands.Error{
		Code: "cold", Message: "the cache is cold", Hint: "cache warm", Status: 3,
	}
	fmt.Println(err)
	// Output: the cache is cold
}

func ExampleCall_Table() {
	call := &commands.Call{Args: []string{"cache list"}, Out: os.Stdout}
	_ = call.Table([]string{"KEY", "SIZE"}, []string{"front", "84M"}, []string{"title\x1b[2J", "2K"})
	// Output:
	// KEY           SIZE
	// front         84M
	// title\x1b[2J  2K
}
