package launch

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Ways to tell of sockets beside LISTEN_FDS.
const (
	// nginx tells a binary that takes its place of its sockets so
	// (https://nginx.org/en/docs/control.html#upgrade).
	nginx = "NGINX"
	// einhorn is https://github.com/contribsys/einhorn.
	einhorn = "EINHORN"
)

// environment is that of the plan, with the variables that tell this program of its
// sockets: inherited ones were meant for the primary.
func (p Plan) environment() []string {
	env := make([]string, 0, len(p.Env)+3)
	for _, e := range p.Env {
		if name, _, _ := strings.Cut(e, "="); !p.tellsOfSockets(name) {
			env = append(env, e)
		}
	}
	if len(p.Listen) == 0 {
		return env
	}
	// Exec keeps the pid.
	env = append(env, fmt.Sprintf("LISTEN_PID=%d", os.Getpid()), fmt.Sprintf("LISTEN_FDS=%d", len(p.Listen)), "LISTEN_FDNAMES="+strings.Join(p.Listen, ":"))
	var numbers []string
	for i := range p.Listen {
		numbers = append(numbers, strconv.Itoa(firstSocket+i))
	}
	switch p.ListenEnv {
	case nginx:
		env = append(env, "NGINX="+strings.Join(numbers, ";")+";")
	case einhorn: // it compares the first with its parent
		env = append(env, fmt.Sprintf("EINHORN_MASTER_PID=%d", os.Getppid()), fmt.Sprintf("EINHORN_FD_COUNT=%d", len(numbers)), "EINHORN_FDS="+strings.Join(numbers, " "))
		for i, n := range numbers {
			env = append(env, fmt.Sprintf("EINHORN_FD_%d=%s", i, n))
		}
	}
	return env
}

func (p Plan) tellsOfSockets(name string) bool {
	switch name {
	case "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES":
		return true
	case nginx:
		return p.ListenEnv == nginx
	}
	return p.ListenEnv == einhorn && strings.HasPrefix(name, "EINHORN_")
}
