package control

import (
	"errors"
	"fmt"
	"testing"
)

func TestErrorMatches(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("wrapped: %w", &Error{Status: 2, Code: "usage", Err: cause})
	for target, want := range map[error]bool{
		&Error{Code: "usage"}: true, &Error{Code: "usage", Status: 2}: true, &Error{Code: "usage", Status: 1}: false,
		&Error{Code: "denied"}: false, cause: true, ErrUsage: true,
	} {
		if got := errors.Is(err, target); got != want {
			t.Errorf("Is %#v = %t", target, got)
		}
	}
	if err.Error() != "wrapped: cause" {
		t.Errorf("%s", err)
	}
}
