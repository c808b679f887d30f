package worker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// errCloses is the server's word that this answer is the connection's last.
var errCloses = errors.New("the server closes")

// readAnswer reads one answer, which must be want.
func readAnswer(in *bufio.Reader, want string) error {
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK || string(body) != want:
		return fmt.Errorf("status %d, body %.40q, want %.40q", resp.StatusCode, body, want)
	case resp.Close:
		return errCloses
	}
	return nil
}
