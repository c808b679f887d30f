// Package e2e runs transcripts: scripts of testscript that use the real
// programs, the real ssh client, real signals and real requests.
//
// Invariant: a script owns its directory $WORK and every process that carries
// it in its environment. A process that is left when the script ends fails the
// script, and is killed by its pid.
//
//	func TestMain(m *testing.M) { e2e.Main(m, "example.org/app") }
//
//	func TestScript(t *testing.T) { e2e.Run(t, "testdata/script") }
//
// Beside the commands of testscript a script has the commands
//
//	start [-early] PROGRAM [ARG…]    start a cluster, wait until it is ready
//	stopped [-within D] [STATUS]     the cluster's primary has ended, with STATUS
//	shutdown                         TERM to the primary; ended with 0, nothing left
//	exits STATUS PROGRAM [ARG…]      run a program that ends with exactly STATUS
//	waitfor [CONDITION…] PROGRAM …   run it until it is as wished (see wait.go)
//	spawn NAME PROGRAM [ARG…]        run it beside the script (see spawn.go)
//	ended [-within D] NAME [STATUS]  it has ended, with STATUS
//	sig NAME PID…                    send a signal
//	gone [-within D] PID…            wait until processes have ended
//	noorphans [-within D]            nothing of the script runs any more
//	worker VAR ID                    put the pid of a worker into VAR
//	load start|stop|wait|run …       requests from clients that never retry
//	request STATUS METHOD ADDRESS    one request and its answer
//	fds VAR PID, fds -most N PID     count what a process has open, wait for it
//	sshkey USER ROLE                 a new user with a key of its own
//	occupy VAR                       hold a port, put its address into VAR
//	terminal NAME PROGRAM [ARG…]     run it beside the script, on a terminal
//	type NAME KEYS, sees NAME RE     type there, wait for output (see terminal.go)
//	never NAME RE, resize NAME C R   it has shown no such output; another size
//	cgroup FILE                      a control group of its own, $WORK/cgroup;
//	                                 FILE becomes a program that runs its
//	                                 arguments in it
//	tinydisk DIR SIZE                mount a file system of SIZE bytes
//
// and the variables DIR, WEB, ADMIN, PORT, PID, LOG and SSH of the cluster that
// was started last. "ctl" on the PATH is norestart ctl in DIR; with
// "ssh -F $SSH USER@cluster" a script logs in.
//
// Copy a program with "exec cp", never with testscript's own cp. That one writes
// the file in the process of the tests; a child that another script starts at
// that moment keeps it open for writing, and executing it fails with "text file
// busy" (golang/go#22315).
//
// Linux only, as the primary is.
package e2e
