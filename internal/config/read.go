package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/norestart/norestart/internal/tomldoc"
	"github.com/norestart/norestart/internal/typeset"
)

// reader reads a document into the structs of [File]. It goes on after an
// error.
type reader struct {
	doc  *tomldoc.Document
	path string
	bad  Problems
}

// table is where a struct stands in the text.
type table struct {
	node tomldoc.Node
	key  string                  // pool.web
	has  map[string]tomldoc.Node // its keys
}

func (t *table) self() *table { return t }

func (t *table) isText(key string) bool {
	_, ok := t.has[key].Value.(string)
	return ok
}

// settings is a struct that embeds table.
type settings interface{ self() *table }

// tables are kept in a slice of pointers to such structs, each with its Name.
var settingsType = reflect.TypeFor[settings]()

func (r *reader) add(line int, format string, args ...any) {
	r.bad = append(r.bad, Problem{r.path, line, fmt.Sprintf(format, args...)})
}

// at adds a problem at a key of a table, or at its header if it has no such key.
func (r *reader) at(t *table, key, format string, args ...any) {
	n, ok := t.has[key]
	if !ok {
		n = t.node
	}
	r.add(r.doc.Line(n), "%s: %s", join(t.key, key), fmt.Sprintf(format, args...))
}

func join(table, key string) string { return strings.Trim(table+"."+key, ".") }

// read reads the table n into the struct into.
func (r *reader) read(n tomldoc.Node, key string, into settings) {
	v := reflect.ValueOf(into).Elem()
	t := into.self()
	*t = table{n, key, make(map[string]tomldoc.Node)}
	for _, f := range r.doc.Fields(n) {
		t.has[f.Name] = f
		switch field, ok := fieldOf(v.Type(), f.Name); {
		case !ok:
			r.add(r.doc.Line(f), "%s: %s", join(key, f.Name), unknown(v.Type(), f.Name))
		default:
			if field.Tag.Get("later") != "" {
				r.at(t, f.Name, "not supported yet")
			}
			r.value(f, join(key, f.Name), field.Tag, v.FieldByIndex(field.Index))
		}
	}
	for _, f := range reflect.VisibleFields(v.Type()) {
		name := f.Tag.Get("toml")
		if t.has[name].Name != "" {
			continue
		}
		if text := f.Tag.Get("default"); text != "" {
			setDefault(text, v.FieldByIndex(f.Index))
		}
		if f.Tag.Get("need") != "" {
			r.at(t, "", "%s is missing", name)
		}
	}
}

// setDefault reads what stands in the tag of a field.
func setDefault(text string, into reflect.Value) {
	var value any = text
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		value = n
	} else if b, err := strconv.ParseBool(text); err == nil {
		value = b
	}
	_ = decode(value, into) // a test reads them all
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for _, f := range reflect.VisibleFields(t) {
		if name := f.Tag.Get("toml"); name == key && name != "" && name != "-" {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// unknown says what may have been meant by a key that is no field of t.
func unknown(t reflect.Type, key string) string {
	if why := refused[key]; why != "" && t == reflect.TypeFor[Pool]() {
		return why
	}
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if slices.Contains(strings.Split(f.Tag.Get("later"), ","), key) {
			return "not supported yet"
		}
		if name := f.Tag.Get("toml"); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	if name := elsewhere[key]; slices.Contains(names, name) {
		return "unknown key, it is called " + name + " here"
	}
	return "unknown key" + suggest(key, names)
}

// refused are keys of a pool that can never be, and what to do instead.
var refused = map[string]string{
	"max_requests": "the requests of a program are not counted: use max_age or max_memory, or in a Go program norestart.Pool.MaxRequests",
}

// elsewhere are keys of other process managers, and what they are called here.
var elsewhere = map[string]string{
	"autorestart": "restart", "restart_policy": "restart", "bind": "listen", "port": "listen", "socket": "listen",
	"cmd": "command", "exec": "command", "script": "command", "cwd": "dir", "directory": "dir", "working_dir": "dir",
	"environment": "env", "instances": "workers", "numprocs": "workers", "processes": "workers", "replicas": "workers",
	"kill_timeout": "drain_timeout", "listen_on": "listen", "stopwaitsecs": "drain_timeout", "limits": "rlimits", "max_memory_restart": "max_memory",
	"host": "listen", "address": "listen", "password": "password_hash", "startsecs": "min_ready", "ready_log": "ready_line", "ready_log_line": "ready_line", "startretries": "max_restarts",
	"interval": "every", "period_seconds": "every", "interval_seconds": "every", "failure_threshold": "fail", "retries": "fail", "initial_delay_seconds": "start_period",
}

// suggest names the one of names that is nearest to word.
func suggest(word string, names []string) string {
	const longest = 64 // that is worth comparing
	best, least := "", max(2, len(word)/3)+1
	for _, name := range names {
		if d := typeset.Distance(word[:min(len(word), longest)], name); name != "" && d < least && d < len(name) {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return ", did you mean " + best + "?"
}

// value reads one value into a field.
func (r *reader) value(n tomldoc.Node, key string, tag reflect.StructTag, into reflect.Value) {
	t := into.Type()
	switch {
	case t.Implements(settingsType):
		into.Set(reflect.New(t.Elem()))
		if r.isTable(n, key, "["+key+"]") {
			r.read(n, key, into.Interface().(settings))
		}
	case t.Kind() == reflect.Slice && t.Elem().Implements(settingsType):
		if r.isTable(n, key, "["+key+".NAME]") {
			r.tables(n, key, into)
		}
	case t.Kind() == reflect.Map:
		if r.isTable(n, key, "NAME = VALUE pairs, as { A = … }") {
			r.pairs(n, key, tag, into)
		}
	default:
		err := decode(n.Value, into)
		if err == nil {
			err = constrain(tag, into)
		}
		r.explain(n, key, tag, err)
	}
}

func (r *reader) isTable(n tomldoc.Node, key, want string) bool {
	_, ok := n.Value.(map[string]any)
	if !ok {
		r.add(r.doc.Line(n), "%s: want a table, %s", key, want)
	}
	return ok
}

// explain adds what is wrong with a value, and the value if it is no secret.
func (r *reader) explain(n tomldoc.Node, key string, tag reflect.StructTag, err error) {
	line, value := r.doc.Line(n), n.Value
	if e, ok := errors.AsType[*elementError](err); ok {
		line, value = r.doc.ElementLine(n, e.i), n.Value.([]any)[e.i]
	}
	switch {
	case err == nil:
	case tag.Get("secret") != "":
		r.add(line, "%s: %v", key, err)
	default:
		r.add(line, "%s = %s: %v", key, literal(value), err)
	}
}

// tables reads the tables [KEY.NAME] into a slice of structs.
func (r *reader) tables(n tomldoc.Node, key string, into reflect.Value) {
	for _, f := range r.doc.Fields(n) {
		one := reflect.New(into.Type().Elem().Elem())
		name := join(key, f.Name)
		if !isName(f.Name) {
			r.add(r.doc.Line(f), "%s: a name is at most 32 of a-z 0-9 _ - and begins with a letter", name)
		}
		if r.isTable(f, name, "["+name+"]") {
			one.Elem().FieldByName("Name").SetString(f.Name)
			r.read(f, name, one.Interface().(settings))
			into.Set(reflect.Append(into, one))
		}
	}
}

// isName is the rule of [internal/app] for the names of pools.
func isName(name string) bool {
	rest := strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-")
	return name != "" && len(name) <= 32 && rest == "" && name[0] >= 'a' && name[0] <= 'z'
}

// pairs reads the keys of a table into a map.
func (r *reader) pairs(n tomldoc.Node, key string, tag reflect.StructTag, into reflect.Value) {
	into.Set(reflect.MakeMap(into.Type()))
	for _, f := range r.doc.Fields(n) {
		v := reflect.New(into.Type().Elem()).Elem()
		var err error
		if names := tag.Get("names"); names != "" && !slices.Contains(strings.Split(names, ","), f.Name) {
			err = fmt.Errorf("unknown, want one of %s%s", strings.ReplaceAll(names, ",", ", "), suggest(f.Name, strings.Split(names, ",")))
		} else if err = decode(f.Value, v); err == nil {
			into.SetMapIndex(reflect.ValueOf(f.Name), v)
		}
		r.explain(f, join(key, f.Name), tag, err)
	}
}

// constrain holds a value against the tags of its field: "values" are all that
// it may be, "soon" those that are not supported yet, "zero" what 0 means: "ok"
// itself, "none" what control.PoolSpec writes as -1; "any": every number is good.
// Without "zero" a number is
// at least 1.
func constrain(tag reflect.StructTag, v reflect.Value) error {
	values := strings.Split(tag.Get("values"), ",")
	switch {
	case values[0] != "" && v.String() != "" && slices.Contains(strings.Split(tag.Get("soon"), ","), v.String()):
		return fmt.Errorf("not supported yet, want %s", choice(values))
	case values[0] != "" && !slices.Contains(values, v.String()):
		return fmt.Errorf("want %s", choice(values))
	case tag.Get("zero") == "any":
	case !v.CanInt() || v.Type() == reflect.TypeFor[Workers]() || v.Int() > 0 || v.Int() == 0 && tag.Get("zero") == "ok":
	case v.Int() == 0 && tag.Get("zero") == "none":
		v.SetInt(-1)
	case tag.Get("zero") != "":
		return errors.New("want 0 or more")
	default:
		return errors.New("want more than 0")
	}
	return nil
}

func choice(values []string) string {
	last := len(values) - 1
	text := fmt.Sprintf("%q", values[last])
	if last > 0 {
		text = `"` + strings.Join(values[:last], `", "`) + `" or ` + text
	}
	return text
}
