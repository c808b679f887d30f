package typeset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON returns v as JSON with a line break, harmless on a terminal.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return SafeJSON(b.Bytes()), nil
}

// JSONObject is JSON of a v that encodes as an object, which then begins with
// "version":1.
func JSONObject(v any) ([]byte, error) {
	text, err := JSON(v)
	if err != nil {
		return nil, err
	}
	fields, ok := bytes.CutPrefix(text, []byte("{"))
	if !ok {
		return nil, fmt.Errorf("encode %T: not an object", v)
	}
	if bytes.HasPrefix(fields, []byte("}")) {
		return []byte("{\"version\":1}\n"), nil
	}
	return append([]byte(`{"version":1,`), fields...), nil
}

// SafeJSON does for a line of JSON what [Safe] does for text. Such characters
// stand only inside strings there, where an escape means the same.
func SafeJSON(text []byte) []byte {
	if ascii(string(text[:len(text)-1])) { // but the line break at the end
		return text
	}
	out := make([]byte, 0, len(text)+16)
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == '\n' || !acts(r):
			out = append(out, text[i:i+size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += size
	}
	return out
}
