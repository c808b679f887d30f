package config

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// section is a table of the file, as docs/config.md describes it.
var described = []struct {
	title string
	of    any
}{
	{"The file", File{}},
	{"[pool.NAME]", Pool{}},
	{"[pool.NAME.live]", Live{}},
	{"[shell]", Shell{}},
	{"[metrics]", Metrics{}},
	{"[hook.NAME]", Hook{}},
	{"[command.NAME]", Command{}},
}

const (
	page     = "../../docs/config.md"
	schema   = "../../contrib/norestart.schema.json"
	pageMark = "## Keys\n"
)

// TestDocsAreCurrent: the list of keys in docs/config.md and the schema are what
// the structs say. With -update it writes them.
func TestDocsAreCurrent(t *testing.T) {
	docs := comments(t)
	old, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	prose, _, _ := strings.Cut(string(old), pageMark)
	same(t, page, prose+pageMark+keysPage(t, docs))
	object := schemaOf(t, docs, reflect.TypeFor[File]())
	object["$schema"], object["title"] = "https://json-schema.org/draft/2020-12/schema", "norestart.toml"
	text, err := json.MarshalIndent(object, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	same(t, schema, string(text)+"\n")
}

func same(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale, run: make docs (-want +got):\n%s", path, diff)
	}
}

// comments are those of the fields, by "Type.Field".
func comments(t *testing.T) map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "file.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	docs := make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				if len(f.Names) > 0 {
					docs[spec.Name.Name+"."+f.Names[0].Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
				}
			}
		}
		return false
	})
	return docs
}

// keyed calls do for each field that is a key which works.
func keyed(t *testing.T, docs map[string]string, of reflect.Type, do func(f reflect.StructField, key, doc string)) {
	for _, f := range reflect.VisibleFields(of) {
		key := f.Tag.Get("toml")
		if key == "" || key == "-" || f.Tag.Get("later") != "" {
			continue
		}
		name, doc, ok := strings.Cut(docs[of.Name()+"."+f.Name], " ")
		if !ok || name != f.Name {
			t.Errorf("the comment of %s.%s must begin with its name", of.Name(), f.Name)
		}
		doc = strings.TrimPrefix(strings.TrimPrefix(doc, "is "), "are ")
		do(f, key, strings.ToUpper(doc[:1])+doc[1:])
	}
}

func keysPage(t *testing.T, docs map[string]string) string {
	var b strings.Builder
	for _, s := range described {
		fmt.Fprintf(&b, "\n### %s\n\n| key | value | without it | meaning |\n|---|---|---|---|\n", s.title)
		keyed(t, docs, reflect.TypeOf(s.of), func(f reflect.StructField, key, doc string) {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", key, kind(f), without(f), doc)
		})
	}
	fmt.Fprintf(&b, "\n### Not supported yet\n\nThese are known and refused.\n\n| where | |\n|---|---|\n")
	for _, s := range described[:2] {
		fmt.Fprintf(&b, "| %s | `%s` |\n", s.title, strings.Join(later(reflect.TypeOf(s.of)), "`, `"))
	}
	fmt.Fprintf(&b, "| values | %s |\n", soon())
	return b.String()
}

// later are the keys of a table that are not supported yet.
func later(of reflect.Type) (keys []string) {
	for _, f := range reflect.VisibleFields(of) {
		switch list := f.Tag.Get("later"); {
		case list == "":
		case f.Tag.Get("toml") != "":
			keys = append(keys, f.Tag.Get("toml"))
		default:
			keys = append(keys, strings.Split(list, ",")...)
		}
	}
	slices.Sort(keys)
	return keys
}

func soon() string {
	var all []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Pool]()) {
		if text := f.Tag.Get("soon"); text != "" {
			all = append(all, fmt.Sprintf("`%s` = %s", f.Tag.Get("toml"), choice(strings.Split(text, ","))))
		}
	}
	return strings.Join(all, ", ")
}

// kind is what may stand behind a key.
func kind(f reflect.StructField) string {
	if values := f.Tag.Get("values"); values != "" {
		return strings.ReplaceAll(choice(strings.Split(values, ",")), " or ", ", ")
	}
	if example := f.Tag.Get("example"); example != "" {
		return "`" + example + "`"
	}
	switch reflect.New(f.Type).Interface().(type) {
	case *Duration:
		return "time"
	case *Workers:
		return "number, \"auto\""
	case *Words, *[]string, *Texts:
		return "list of texts"
	case *bool:
		return "true, false"
	case *int, *Nice:
		return "number"
	case *string:
		return "text"
	}
	return "table"
}

func without(f reflect.StructField) string {
	if text := f.Tag.Get("default"); text != "" {
		return "`" + text + "`"
	}
	if f.Tag.Get("need") != "" || f.Name == "Name" || f.Name == "Pools" {
		return "an error"
	}
	return ""
}

type object = map[string]any

// schemaOf is the schema of a table.
func schemaOf(t *testing.T, docs map[string]string, of reflect.Type) object {
	properties, required := object{}, []string{}
	keyed(t, docs, of, func(f reflect.StructField, key, doc string) {
		p := schemaOfValue(t, docs, f)
		p["description"] = doc
		if text := f.Tag.Get("default"); text != "" {
			p["default"] = text
			if n, err := strconv.Atoi(text); err == nil {
				p["default"] = n
			} else if b, err := strconv.ParseBool(text); err == nil {
				p["default"] = b
			}
		}
		if without(f) == "an error" {
			required = append(required, key)
		}
		properties[key] = p
	})
	return object{"type": "object", "additionalProperties": false, "properties": properties, "required": required}
}

func schemaOfValue(t *testing.T, docs map[string]string, f reflect.StructField) object {
	text, texts := object{"type": "string"}, object{"type": "array", "items": object{"type": "string"}}
	least := 1
	if f.Tag.Get("zero") != "" {
		least = 0
	}
	switch reflect.New(f.Type).Interface().(type) {
	case *string:
		if values := f.Tag.Get("values"); values != "" {
			text["enum"] = strings.Split(values, ",")
		}
		return text
	case *Umask:
		return object{"type": "string", "pattern": "^[0-7]{1,4}$"}
	case *Nice:
		return object{"type": "integer", "minimum": -20, "maximum": 19}
	case *bool:
		return object{"type": "boolean"}
	case *int:
		return object{"type": "integer", "minimum": least}
	case *Words:
		return object{"type": "array", "items": object{"type": "string"}, "minItems": 1}
	case *[]string:
		return texts
	case *Texts:
		return object{"oneOf": []object{text, texts}}
	case *Workers:
		return object{"oneOf": []object{{"type": "integer", "minimum": 0}, {"const": "auto"}}}
	case *Duration:
		return object{"type": "string", "pattern": `^([0-9.]+(h|m|s|ms|us|µs|ns))+$`}
	case *map[string]string:
		return object{"type": "object", "additionalProperties": text}
	case *Limit:
		return object{"oneOf": []object{{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^([0-9]+[KMGT]?|unlimited)$"}}}
	case *map[string]Limit:
		limits := object{}
		for _, name := range strings.Split(f.Tag.Get("names"), ",") {
			limits[name] = object{"oneOf": []object{{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^([0-9]+[KMGT]?|unlimited)$"}}}
		}
		return object{"type": "object", "additionalProperties": false, "properties": limits}
	}
	if f.Type.Kind() == reflect.Slice && f.Type.Elem().Implements(settingsType) {
		return object{"type": "object", "patternProperties": object{"^[a-z][a-z0-9_-]{0,31}$": schemaOf(t, docs, f.Type.Elem().Elem())}, "additionalProperties": false}
	}
	if f.Type.Implements(settingsType) {
		return schemaOf(t, docs, f.Type.Elem())
	}
	t.Fatalf("%s: a type without a schema", f.Name)
	return nil
}
