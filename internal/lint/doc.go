// Package lint holds the tests that read this repository itself: which package
// may import which, the oldest sound versions of what it depends on, and the
// documents, that their links, programs and named tests are there, and that names
// and comments use the plain words of the glossary.
//
//	go test ./internal/lint
//
// It has no code beside its tests.
package lint
