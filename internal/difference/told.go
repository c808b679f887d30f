package difference

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/norestart/norestart/control"
)

// Told is what differs in what the workers of a built-in pool are told, as JSON.
// The elements of a list that have a name or a pool are known by it.
func Told(from, to []byte) (all []control.Change) {
	if bytes.Equal(from, to) {
		return nil
	}
	before, after := make(map[string]string), make(map[string]string)
	flatten(before, "", decoded(from))
	flatten(after, "", decoded(to))
	both := maps.Clone(before)
	maps.Copy(both, after)
	for _, key := range slices.Sorted(maps.Keys(both)) {
		if c := (control.Change{Key: key, From: before[key], To: after[key]}); c.From != c.To {
			all = append(all, masked(c))
		}
	}
	return all
}

func decoded(data []byte) (v any) {
	_ = json.Unmarshal(data, &v) // of our own making; else all of it differs
	return v
}

// flatten notes the leaves of v, by the way to them.
func flatten(into map[string]string, way string, v any) {
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for field, x := range v {
			if field != "Name" && field != "Pool" {
				flatten(into, strings.Trim(way+"."+Key(field), "."), x)
			}
		}
	case []any:
		if len(v) > 0 && nameOf(v[0]) == "" {
			into[way] = leaf(way, v)
			return
		}
		for _, x := range v {
			flatten(into, way+"."+nameOf(x), x)
		}
	default:
		if text := leaf(way, v); !slices.Contains(zeros, text) {
			into[way] = text
		}
	}
}

// zeros are values that a file need not have.
var zeros = []string{`""`, "0", "0s", "false"}

func nameOf(v any) string {
	m, _ := v.(map[string]any)
	for _, field := range []string{"Name", "Pool"} {
		if name, ok := m[field].(string); ok {
			return name
		}
	}
	return ""
}

// leaf is a value as it stands in the file: a time with its unit.
func leaf(way string, v any) string {
	if n, ok := v.(float64); ok && (strings.HasSuffix(way, "timeout") || strings.HasSuffix(way, "interval")) {
		return time.Duration(n).String()
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // it was decoded
	return strings.TrimSpace(b.String())
}

// secrets are keys of which the values are not shown; that of a role means nothing
// to a person.
var secrets = []string{"password_hash", "url", "role"}

func masked(c control.Change) control.Change {
	if i := strings.LastIndexByte(c.Key, '.'); !slices.Contains(secrets, c.Key[i+1:]) {
		return c
	}
	for _, value := range []*string{&c.From, &c.To} {
		if *value != "" {
			*value = Masked
		}
	}
	return c
}
