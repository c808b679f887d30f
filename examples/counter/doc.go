// Package counter holds two versions of a program whose state survives a reload,
// from the first version to the second and back, and the transcripts that show it.
package counter
