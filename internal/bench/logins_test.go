package main

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAlternateBeginsWithTheNext(t *testing.T) {
	var order []string
	thing := func(name string, v float64) func() (float64, error) {
		return func() (float64, error) { order = append(order, name); return v, nil }
	}
	all, err := alternate(t.Context(), 2, thing("a", 1), thing("b", 2), thing("c", 3))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "b", "c", "a"}, order); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]float64{{1, 1}, {2, 2}, {3, 3}}, all); diff != "" {
		t.Error(diff)
	}
}

func TestWhatFailsIsNotDoneAgain(t *testing.T) {
	broken := errors.New("broken")
	n := 0
	if _, err := repeatFor(time.Minute, []func() error{func() error { n++; return broken }}); !errors.Is(err, broken) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}

func TestParseParent(t *testing.T) {
	name, parent, err := parseParent("4711 (sshd) a (b) S 23 4711 0 0")
	if err != nil || name != "sshd) a (b" || parent != 23 {
		t.Errorf("%q, %d, %v", name, parent, err)
	}
	for _, bad := range []string{"", "4711 sshd S 23", "4711 (sshd)", ")(", "4711 (sshd) S x"} {
		if _, _, err := parseParent(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestAPromptEndsWithABlank(t *testing.T) {
	f := newFirst()
	for _, text := range []string{"welcome\r\n", "admin@hello> "} {
		select {
		case <-f.seen:
			t.Errorf("seen before %q", text)
		default:
		}
		_, _ = f.Write([]byte(text)) // never fails
	}
	<-f.seen
}
