// Norestart is the command line of norestart: it prepares clusters and speaks
// to them.
//
// Invariant: what a script reads is alone on standard output; prompts, errors
// and hints go to standard error. The exit status is 0 when the command did what
// it was asked, 1 when it failed, 2 when it was called wrongly; a command that
// runs another one passes the status of that one on.
//
// Limits: only main exits. A signal during a prompt ends the program by that
// signal, with the terminal as it was.
package main
