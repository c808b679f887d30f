package primary

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/durable"
)

// counter gives out the incarnations of the cluster, none of them twice, also
// not after a crash: what may have been given out is written down before. A
// process of an earlier life can so never pass for one of this.
type counter struct {
	path     string
	last     uint64
	reserved uint64
}

// counterFile holds the last number that may have been given out.
const counterFile = "incarnation"

// reserve is how many are written down at once.
const reserve = 1000

func openCounter(state string) (*counter, error) {
	c := &counter{path: filepath.Join(state, counterFile)}
	text, err := os.ReadFile(c.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if c.last, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err != nil {
			return nil, fmt.Errorf("%s: must hold a number: %w", c.path, err)
		}
	}
	c.reserved = c.last
	return c, c.extend()
}

// continueCounter goes on with what an earlier image of the primary reserved.
func continueCounter(state string, im counterImage) *counter {
	return &counter{path: filepath.Join(state, counterFile), last: im.Last, reserved: im.Reserved}
}

// next is the incarnation that take would give out.
func (c *counter) next() uint64 { return c.last + 1 }

// take gives one out. A reserve that cannot be written down is no reason to
// leave a slot empty: the error is for the operator.
func (c *counter) take() error {
	c.last++
	if c.last < c.reserved {
		return nil
	}
	return c.extend()
}

func (c *counter) extend() error {
	to := c.last + reserve
	text := []byte(fmt.Sprintf("%020d\n", to))
	err := durable.WriteFile(c.path, text, 0o600)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		err = overwrite(c.path, text)
	}
	if err != nil {
		return fmt.Errorf("reserve incarnations: %w", err)
	}
	c.reserved = to
	return nil
}

// overwrite writes into the room that the file has: a full disk must not keep
// the next primary from its workers. It is as long as ever and within one
// sector, which is written as a whole or not at all.
func overwrite(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	return errors.Join(err, f.Sync(), f.Close())
}
