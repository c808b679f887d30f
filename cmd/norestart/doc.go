// Norestart prepares clusters and talks to them from the command line.
//
// Invariant: standard output holds only what a script reads; prompts, errors
// and hints go to standard error. The exit status is 0 when the command
// succeeded, 1 when it failed, 2 when it was used wrongly. A command that runs
// another one passes its status on.
//
// Limits: only main exits. A signal at a prompt ends the program by that signal
// and restores the terminal.
package main
