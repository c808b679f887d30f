package fault

import (
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// OnVariable names the switches that are on, separated by commas, in every process
// of a cluster.
const OnVariable = "FAULTS_ON"

var switches = strings.Split(os.Getenv(OnVariable), ",")

// On reports whether a switch is on.
func On(name string) bool { return slices.Contains(switches, name) }

var turns struct {
	sync.Mutex // a leaf
	of         map[string]int
}

// Each reports whether a switch is on and this is the nth time that it is asked, or
// the 2nth and so on.
func Each(n int, name string) bool {
	if !On(name) {
		return false
	}
	turns.Lock()
	defer turns.Unlock()
	if turns.of == nil {
		turns.of = make(map[string]int)
	}
	turns.of[name]++
	return turns.of[name]%n == 0
}

// Die kills the process.
func Die() {
	_ = unix.Kill(os.Getpid(), unix.SIGKILL) // it cannot be refused
	select {}
}
