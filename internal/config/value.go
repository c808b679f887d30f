package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/shlex"

	"github.com/norestart/norestart/control"
)

// decoder is a type that reads its own value. Its errors say what would be
// right.
type decoder interface{ decode(value any) error }

// elementError is what is wrong with one element of a list.
type elementError struct {
	i   int
	err error
}

func (e *elementError) Error() string { return e.err.Error() }

// decode reads a value into a field.
func decode(value any, into reflect.Value) error {
	if d, ok := into.Addr().Interface().(decoder); ok {
		return d.decode(value)
	}
	switch p := into.Addr().Interface().(type) {
	case *string:
		return decodeText(value, p)
	case *bool:
		b, ok := value.(bool)
		if *p = b; !ok {
			return errors.New("want true or false, without quotes")
		}
	case *int:
		n, ok := value.(int64)
		if *p = int(n); !ok || n < math.MinInt32 || n > math.MaxInt32 {
			return errors.New("want a number, without quotes")
		}
	case *[]string:
		return decodeList(value, p)
	}
	return nil
}

func decodeText(value any, into *string) error {
	s, ok := value.(string)
	switch *into = s; {
	case !ok:
		return errors.New("want text in quotes")
	case strings.ContainsRune(s, 0):
		return errors.New("want text without a zero byte")
	}
	return nil
}

func decodeList(value any, into *[]string) error {
	list, ok := value.([]any)
	if s, is := value.(string); is {
		return fmt.Errorf("want a list, as [%q]", s)
	} else if !ok {
		return errors.New(`want a list of texts, as ["a", "b"]`)
	}
	for i, v := range list {
		var s string
		if err := decodeText(v, &s); err != nil {
			return &elementError{i, err}
		}
		*into = append(*into, s)
	}
	return nil
}

// Words are the words of a command line.
type Words []string

func (w *Words) decode(value any) error {
	if s, ok := value.(string); ok {
		words, err := shlex.Split(s)
		if err != nil || len(words) == 0 {
			words = []string{s}
		}
		return fmt.Errorf("want a list, as %s", literal(words))
	}
	err := decodeList(value, (*[]string)(w))
	if err == nil && len(*w) == 0 {
		err = errors.New(`want a program, as ["./app"]`)
	}
	return err
}

// Texts are one text or a list of them.
type Texts []string

func (t *Texts) decode(value any) error {
	if s, ok := value.(string); ok {
		value = []any{s}
	}
	err := decodeList(value, (*[]string)(t))
	if err == nil && slices.Contains(*t, "") {
		err = errors.New("want no empty text")
	}
	if err != nil {
		*t = nil
	}
	return err
}

// Workers is a number of workers, or control.Auto.
type Workers int

func (w *Workers) decode(value any) error {
	n, ok := value.(int64)
	switch {
	case value == "auto":
		*w = control.Auto
		return nil
	case !ok, n < 0, n > math.MaxInt32:
		return errors.New(`want a number from 0, or "auto"`)
	}
	*w = Workers(n)
	return nil
}

// Duration is a time with its unit, as "30s".
type Duration time.Duration

func (d *Duration) decode(value any) error {
	if n, ok := value.(int64); ok && n >= 0 {
		return fmt.Errorf(`want a time with its unit, as "%ds"`, n)
	}
	s, _ := value.(string)
	t, err := time.ParseDuration(s)
	if err != nil || t < 0 {
		return errors.New(`want a time with its unit, as "500ms", "30s", "5m" or "1h30m"`)
	}
	*d = Duration(t)
	return nil
}

// Umask is a file mode creation mask in octal digits; empty: none is given.
type Umask string

func (u *Umask) decode(value any) error {
	s, _ := value.(string)
	if _, err := strconv.ParseUint(s, 8, 9); err != nil {
		return errors.New(`want octal digits, as "027"`)
	}
	*u = Umask(s)
	return nil
}

func (u Umask) mask() *int {
	n, err := strconv.ParseUint(string(u), 8, 9)
	if err != nil {
		return nil
	}
	return new(int(n))
}

// Nice is a nice value of setpriority(2).
type Nice int

func (n *Nice) decode(value any) error {
	v, ok := value.(int64)
	if !ok || v < -20 || v > 19 {
		return errors.New("want a number from -20 to 19")
	}
	*n = Nice(v)
	return nil
}

// Limit is a resource limit.
type Limit uint64

// unlimited is RLIM_INFINITY of getrlimit(2).
const unlimited = ^Limit(0)

func (l *Limit) decode(value any) error {
	n, ok := value.(int64)
	if s, is := value.(string); is {
		if s == "unlimited" {
			*l = unlimited
			return nil
		}
		n, ok = parseSize(s)
	}
	if *l = Limit(n); !ok || n < 0 {
		return errors.New(`want a number, a size as "512M", or "unlimited"`)
	}
	return nil
}

// parseSize reads a number of bytes with one of the suffixes K, M, G and T,
// powers of 1024.
func parseSize(s string) (int64, bool) {
	shift := 0
	if i := strings.IndexAny(s, "KMGT"); i >= 0 && i == len(s)-1 {
		shift = 10 * (1 + strings.IndexByte("KMGT", s[i]))
		s = s[:i]
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n << shift, err == nil && n >= 0 && n <= math.MaxInt64>>shift
}

// literal shows a value as it is written in TOML, cut where it is long.
func literal(value any) string {
	switch v := value.(type) {
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = strconv.Quote(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case string:
		return fmt.Sprintf("%.80q", v)
	case []any:
		return "a list"
	case map[string]any, []map[string]any:
		return "a table"
	case time.Time:
		return "a date"
	}
	return fmt.Sprint(value)
}
