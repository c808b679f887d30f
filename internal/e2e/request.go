package e2e

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// request makes a single one, once, and prints the body of the answer:
//
//	request [-keep] STATUS METHOD ADDRESS[/PATH]
//
// With -keep the connection is a kept one: if the answer does not close it, a
// GET of / over it has to be answered with 200, too.
func request(ts *testscript.TestScript, neg bool, args []string) {
	refuseNot(ts, neg)
	flags := flag.NewFlagSet("request", flag.ContinueOnError)
	keep := flags.Bool("keep", false, "a kept connection")
	ts.Check(flags.Parse(args))
	if flags.NArg() != 3 {
		ts.Fatalf("usage: request [-keep] STATUS METHOD ADDRESS[/PATH]")
	}
	want, err := strconv.Atoi(flags.Arg(0))
	ts.Check(err)
	address, path, _ := strings.Cut(flags.Arg(2), "/")
	conn, err := connect(address)
	ts.Check(err)
	defer conn.close()
	status, body, open, err := conn.once(flags.Arg(1), "/"+path, *keep)
	ts.Check(err)
	_, _ = ts.Stdout().Write([]byte(body)) // to a string
	if status != want {
		ts.Fatalf("status %d, want %d: %s", status, want, body)
	}
	if !open {
		return
	}
	if status, body, _, err := conn.once(http.MethodGet, "/", false); err != nil || status != http.StatusOK {
		ts.Fatalf("the next request of the connection: status %d %q, %v", status, body, err)
	}
}

// once sends a request and reads its whole answer; open tells whether the
// connection may be used again.
func (c *connection) once(method, path string, keep bool) (status int, body string, open bool, err error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, "", false, err
	}
	wish := "close"
	if keep {
		wish = "keep-alive"
	}
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\nConnection: %s\r\n\r\n", method, path, c.RemoteAddr(), wish); err != nil {
		return 0, "", false, fmt.Errorf("send: %w", err)
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, "", false, fmt.Errorf("read the answer: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(text), keep && !resp.Close, err
}
