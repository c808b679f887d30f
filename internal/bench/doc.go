// Bench measures the goals of norestart and prints the rows of
// docs/benchmarks.md as Markdown.
//
// Invariant: a figure is compared only with one of the same run. The two
// programs of a comparison are started by the same code, do the same work on
// the same processors, and take turns. A ratio is the median of five turns.
// Counts come from clients that never try again.
//
// Limits: it speaks to 127.0.0.1 alone, on ports that the kernel chooses, ends
// every process that it started, and gives up after twenty minutes. The load
// generator runs on the same processors as what it measures.
package main
