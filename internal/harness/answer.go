package harness

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strconv"
)

// maxBody bounds what is read of an answer.
const maxBody = 1 << 20

// Answer is an answer of HTTP/1.1 that was read in full.
type Answer struct {
	Status int
	Body   []byte
	Closes bool // the server announced the end of the connection (RFC 9112 §9.6)
}

// readAnswer is much cheaper than that of net/http, which would take the
// processors from what is measured.
func readAnswer(in *bufio.Reader) (a Answer, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	code, ok := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	if a.Status, err = strconv.Atoi(string(code[:min(3, len(code))])); !ok || err != nil || a.Status < 200 {
		return a, fmt.Errorf("status line %q", line)
	}
	length, chunked, err := a.readHeader(in)
	switch {
	case err != nil:
		return a, err
	case chunked:
		a.Body, err = readChunks(in)
	case length >= 0:
		a.Body = make([]byte, length)
		_, err = io.ReadFull(in, a.Body)
	default:
		return a, errors.New("answer without Content-Length")
	}
	return a, unexpected(err)
}

func (a *Answer) readHeader(in *bufio.Reader) (length int, chunked bool, err error) {
	length = -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, false, unexpected(err)
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			return length, chunked, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > maxBody {
				return 0, false, fmt.Errorf("header line %q", line)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			a.Closes = bytes.EqualFold(value, []byte("close"))
		}
	}
}

// readChunks reads a body in chunks, and the empty line behind it.
func readChunks(in *bufio.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(httputil.NewChunkedReader(in), maxBody))
	if err != nil {
		return nil, err
	}
	if end, err := in.ReadSlice('\n'); err != nil || len(bytes.TrimRight(end, "\r\n")) > 0 {
		return nil, fmt.Errorf("%q follows the chunks: %w", end, unexpected(err))
	}
	return body, nil
}

// unexpected is err of a connection that ended inside an answer.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
