// Package tomldoc reads a TOML text into values that know their lines, so that
// an error can name the line of a value that is of the right type and still
// wrong.
//
//	doc, root, err := tomldoc.Open(text)
//	for _, n := range doc.Fields(root) {
//		fmt.Println(doc.Line(n), n.Name, n.Value)
//	}
//
// Invariant: fields are in the order of the text.
//
// Limits: the first error of syntax ends the reading, as does a key that stands
// twice. The elements of an array of tables share one line.
package tomldoc
