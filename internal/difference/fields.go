package difference

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/norestart/norestart/control"
)

// Masked stands for a value that is not shown.
const Masked = "***"

// Field is a field of a pool that differs.
type Field struct {
	Name string // in [control.PoolSpec]
	control.Change
}

// Fields are those in which two pools differ, but for their programs, see
// [Program].
func Fields(from, to control.PoolSpec) (all []Field) {
	a, b := reflect.ValueOf(from), reflect.ValueOf(to)
	for _, f := range reflect.VisibleFields(a.Type()) {
		x, y := a.FieldByIndex(f.Index), b.FieldByIndex(f.Index)
		empty := (x.Kind() == reflect.Map || x.Kind() == reflect.Slice) && x.Len() == 0 && y.Len() == 0
		if f.Name == "Program" || empty || reflect.DeepEqual(x.Interface(), y.Interface()) {
			continue
		}
		all = append(all, Field{f.Name, control.Change{Key: Key(f.Name), From: text(x.Interface()), To: text(y.Interface())}})
	}
	return all
}

// Program is what differs between two programs. Neither is nil.
func Program(from, to *control.Program) (all []control.Change) {
	if !slices.Equal(from.Command, to.Command) {
		all = append(all, control.Change{Key: "command", From: List(from.Command), To: List(to.Command)})
	}
	if from.Dir != to.Dir {
		all = append(all, control.Change{Key: "dir", From: from.Dir, To: to.Dir})
	}
	before, after := variables(from.Env), variables(to.Env)
	both := maps.Clone(before)
	maps.Copy(both, after)
	for _, name := range slices.Sorted(maps.Keys(both)) {
		c := control.Change{Key: "env." + name}
		x, was := before[name]
		y, is := after[name]
		if was {
			c.From = Masked
		}
		if is {
			c.To = Masked
		}
		if was != is || x != y {
			all = append(all, c)
		}
	}
	return all
}

// Errands is what differs in what runs before the workers of a program are
// replaced.
func Errands(from, to *control.Program) (all []control.Change) {
	for key, of := range map[string][2]control.Errand{"update": {from.Update, to.Update}, "check": {from.Check, to.Check}} {
		if !slices.Equal(of[0].Command, of[1].Command) {
			all = append(all, control.Change{Key: key, From: List(of[0].Command), To: List(of[1].Command)})
		}
		if of[0].Timeout != of[1].Timeout {
			all = append(all, control.Change{Key: key + "_timeout", From: of[0].Timeout.String(), To: of[1].Timeout.String()})
		}
	}
	slices.SortFunc(all, func(a, b control.Change) int { return strings.Compare(a.Key, b.Key) })
	return all
}

func variables(env []string) map[string]string {
	m := make(map[string]string, len(env))
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		m[name] = value
	}
	return m
}

// keys of fields that are not their names in small letters.
var keys = map[string]string{
	"Policy": "restart", "Limits": "rlimits", "KillAfter": "stop_timeout", "ReadyAfter": "min_ready", "RunAs": "user", "Protocol": "ready", "ReadyProbe": "ready",
	"FDStoreMax": "fd_store_max", "Hooks": "hook", "Commands": "command", "Logs": "log", "Usage": "args",
}

// Key is the key of a field: MaxSurge is max_surge.
func Key(field string) string {
	if key := keys[field]; key != "" {
		return key
	}
	var b strings.Builder
	last := ' '
	for i, r := range field {
		if unicode.IsUpper(r) && i > 0 && !unicode.IsUpper(last) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
		last = r
	}
	return b.String()
}

// List is a list as it is written in the file.
func List(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = strconv.Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// text is a value of a pool as a person reads it.
func text(v any) string {
	switch v := v.(type) {
	case []string:
		return List(v)
	case int:
		if v == control.Auto {
			return "auto"
		}
	case map[string]uint64:
		var all []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			all = append(all, fmt.Sprintf("%s=%d", name, v[name]))
		}
		return strings.Join(all, " ")
	case *int:
		if v == nil {
			return "none"
		}
		return fmt.Sprintf("%03o", *v)
	case *control.Identity:
		if v == nil {
			return "none"
		}
		return v.Name
	case control.Protocol:
		if v == control.ProtocolMute {
			return "timer"
		}
	}
	return fmt.Sprint(v)
}
