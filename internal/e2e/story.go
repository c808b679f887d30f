package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// story is the test of one script. If it fails, its reason comes first: the log of
// the script ends with it, and the consoles of its clusters are long.
type story struct {
	*testing.T
	consoles []string
}

func (s *story) Run(name string, f func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) { f(&story{T: t}) })
}

func (s *story) Verbose() bool { return testing.Verbose() }

// Log takes the log of the whole script, when it has ended.
func (s *story) Log(args ...any) {
	s.Helper()
	s.T.Log(reasonFirst(fmt.Sprint(args...), s.consoles))
}

// console keeps what a cluster said for the end of a failed script.
func (s *story) console(program string, text []byte) {
	s.consoles = append(s.consoles, fmt.Sprintf("the console of %s:\n%s", program, text))
}

// reasonFirst is the log of a script with the reason of its failure before it,
// where it has failed, and the consoles behind it.
func reasonFirst(log string, consoles []string) string {
	if i := strings.LastIndex("\n"+log, "\nFAIL: "); i >= 0 {
		log = strings.TrimPrefix(log[i:], "FAIL: ") + "\n" + log
	}
	return strings.Join(append([]string{log}, consoles...), "\n")
}
