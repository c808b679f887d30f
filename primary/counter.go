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

// counter gives out the incarnations of the cluster, none of them twice, even
// after a crash: numbers are reserved on disk before they are given out. So a
// process of an earlier life never passes for a new one.
type counter struct {
	path     string
	last     uint64
	reserved uint64
}

// counterFile holds the last number that may have been given out.
const counterFile = "incarnation"

// reserve is how many are reserved at once.
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

// take gives one out. An error says that the reserve could not be written: the
// number is still good, as a slot must not stay empty for that.
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

// overwrite writes in place, so that a full disk does not keep the next primary
// from its workers. The length stays and is within one sector, which is written
// whole or not at all.
func overwrite(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	return errors.Join(err, f.Sync(), f.Close())
}
