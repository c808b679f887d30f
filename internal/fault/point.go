package fault

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// Variable names the directory with the plan.
const Variable = "FAULTS"

// Files of that directory.
const (
	PlanFile   = "plan"
	PassedFile = "passed"
)

// roleVariable is set in every process of a cluster but the primary. It is read
// before main is, for a worker takes it out of its environment.
const roleVariable = "NORESTART_ROLE"

var leads = os.Getenv(roleVariable) == ""

// mu lets one goroutine at a time pass a point. It is held while the process is
// killed, so that nothing happens after the point.
var mu sync.Mutex

// Around returns f with a point before and one after it.
func Around[F any](call string, f F) F {
	dir := os.Getenv(Variable)
	if !leads || dir == "" {
		return f
	}
	name := who() + call
	v := reflect.ValueOf(f)
	return reflect.MakeFunc(v.Type(), func(args []reflect.Value) []reflect.Value {
		pass(dir, "before "+name)
		results := v.Call(args)
		pass(dir, "after "+name)
		return results
	}).Interface().(F)
}

// frames is how many callers are part of a name: enough to tell one use of a
// file from another.
const frames = 7

// who returns the functions of this module on the stack, the innermost last.
func who() string {
	var pcs [64]uintptr
	stack := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	name := ""
	for n := 0; n < frames; {
		f, more := stack.Next()
		if short, ok := strings.CutPrefix(f.Function, module); ok {
			name = short[strings.LastIndexByte(short, '/')+1:] + " " + name
			n++
		}
		if !more {
			break
		}
	}
	return name
}

const module = "github.com/norestart/norestart/"

// pass notes a point and kills the process if the plan says so. An error ends
// the process, too, with a message: a test whose faults do not happen is worth
// nothing.
func pass(dir, point string) {
	mu.Lock()
	defer mu.Unlock()
	plan, err := os.ReadFile(filepath.Join(dir, PlanFile))
	if os.IsNotExist(err) {
		return
	}
	times := 0
	if err == nil {
		times, err = note(filepath.Join(dir, PassedFile), point)
	}
	if err != nil {
		panic(fmt.Sprintf("fault: %v", err))
	}
	if string(plan) == strconv.Itoa(times)+" "+point {
		Die()
	}
}

// note writes a point down and returns how often it has been passed.
func note(path, point string) (times int, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	if _, err := f.WriteString(point + "\n"); err != nil {
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if line == point+"\n" {
			times++
		}
	}
	return times, err
}
