// Package flagset has the flags of one command, as pflag parses them, with three
// differences: a word such as -9 is an argument, a flag that may stand alone
// takes a time that follows it, and errors are in plain words.
package flagset
