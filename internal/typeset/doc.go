// Package typeset measures and writes text for where it is shown: a terminal, a
// page of man(7), a line of JSON. It also tells how much two words differ.
//
// Invariant: what passed [Safe] or [JSON] cannot act on a terminal.
package typeset
