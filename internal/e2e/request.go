package e2e

import (
	"context"
	"flag"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/norestart/norestart/internal/harness"
)

// request makes a single one, once, and prints the body of the answer:
//
//	request [-keep] [-until REGEXP] STATUS METHOD ADDRESS[/PATH]
//
// With -until it is made again and again until a line of the body matches. With -keep the connection is a kept one: if the answer does not close it, a
// GET of / over it has to be answered with 200, too.
func request(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	flags := flag.NewFlagSet("request", flag.ContinueOnError)
	keep := flags.Bool("keep", false, "a kept connection")
	until := flags.String("until", "", "what a line of the body must match")
	ts.Check(flags.Parse(args))
	if flags.NArg() != 3 {
		ts.Fatalf("usage: request [-keep] [-until REGEXP] STATUS METHOD ADDRESS[/PATH]")
	}
	line, err := regexp.Compile("(?m)" + *until)
	ts.Check(err)
	want, err := strconv.Atoi(flags.Arg(0))
	ts.Check(err)
	address, path, _ := strings.Cut(flags.Arg(2), "/")
	c := harness.Client{Address: address, Keep: *keep, Timeout: harness.Patience}
	defer c.Close()
	var answer harness.Answer
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	gave := harness.Poll(ctx, func() bool {
		answer, err = c.Ask(flags.Arg(1), "/"+path, "")
		return *until == "" || err == nil && line.Match(answer.Body)
	})
	ts.Check(err)
	_, _ = ts.Stdout().Write(answer.Body) // to a string
	if gave != nil {
		ts.Fatalf("no line matches %s within %v: %s", *until, harness.Patience, answer.Body)
	}
	if answer.Status != want {
		ts.Fatalf("status %d, want %d: %s", answer.Status, want, answer.Body)
	}
	if !c.Open() {
		return
	}
	if s := c.Get("/", ""); s.Err != nil {
		ts.Fatalf("the next request of the connection: %v", s.Err)
	}
}
