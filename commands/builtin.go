package commands

import "slices"

// Groups of commands in help, in this order for the built-in ones.
const (
	groupLook        = "Look"
	groupChange      = "Change"
	groupCluster     = "The cluster as a whole"
	groupSession     = "Session"
	groupApplication = "Application"
)

// Builtin returns the commands that every cluster has; version is that of
// norestart. Those of a session (history, exit) belong to the shell.
func Builtin(version string) []Command {
	return slices.Concat(
		lookCommands(), logCommands(), workerCommands(), changeCommands(), generationCommands(),
		jobCommands(), clusterCommands(), visitorCommands(), sessionCommands(version),
	)
}

func lookCommands() []Command {
	return []Command{
		{
			Name: "status", Role: Viewer, Group: groupLook, Flags: watchFlags, Run: watched(status),
			Summary: "is it well, and if not, why",
			Help: "The first line tells whether all is well. Then the primary, the admin port, each\n" +
				"pool with its target, what runs now, and why a pool is not as it should be.",
		},
		{
			Name: "worker info", Role: Viewer, Group: groupLook, Flags: watchFlags, Run: watched(workerInfo), Complete: first(anyWorker),
			Usage: "[ID]", Summary: "how many workers there are, or all about one",
			Help: "Current are the workers that are ready, Target those wished for, Dead those given up;\n" +
				"only pools of the application count. With an ID such as web/2: its process, its last\n" +
				"exits and the last lines that it wrote.",
		},
		{
			Name: "worker list", Role: Viewer, Group: groupLook, Flags: watchFlags, Run: watched(workerList),
			Summary: "all workers, one line each, built-in pools too",
		},
	}
}

func workerCommands() []Command {
	return []Command{
		{
			Name: "worker revive", Role: Operator, Group: groupChange, Flags: jobFlags, Run: workerRevive, Complete: others(deadWorkers),
			Usage: "[ID…]", Summary: "start dead or stopped workers again",
			Help: "Without an ID: all dead workers of the application's pools. Waits until they are ready.",
		},
		{
			Name: "worker restart", Role: Operator, Group: groupChange, Flags: jobFlags, Run: workerRestart, Complete: first(anyWorker),
			Usage: "ID", Summary: "replace one worker by a new process of the same generation",
		},
		{
			Name: "worker stop", Role: Operator, Group: groupChange, Flags: jobFlags, Run: workerStop, Complete: first(anyWorker),
			Usage: "ID", Summary: "stop one worker until it is revived",
		},
		{
			Name: "worker signal", Role: Operator, Group: groupChange, Flags: noFlags, Run: workerSignal, Complete: workerThenSignal,
			Usage: "ID SIGNAL", Summary: "send a signal to the process group of one worker",
			Help: "The signal goes to the process that runs now; if it is replaced meanwhile, to none.",
		},
	}
}

func changeCommands() []Command {
	return []Command{
		{
			Name: "scale", Role: Operator, Group: groupChange, Flags: jobFlags, Run: scale, Complete: first(ownPool),
			Usage: "[POOL] N|+N|-N|auto", Summary: "change how many workers a pool should have",
			Help: "POOL may be left out when the application has one pool. auto means as many as the\n" +
				"machine runs at once. +N and -N are refused when the target is changed meanwhile.",
		},
		{
			Name: "reload", Role: Operator, Group: groupChange, Flags: reloadFlags, Run: reload, Complete: others(anyPool),
			Usage: "[POOL…]", Summary: "new generation of the application's pools, no request lost",
			Help: "Each worker is replaced when its successor is ready. If the first one fails, nothing\n" +
				"has changed; if a later one fails, those that were replaced are rolled back, with --keep\n" +
				"only if the address has changed, too: a pool cannot keep two.",
		},
		{
			Name: "call", Role: Operator, Group: groupChange, Flags: callFlags, Run: callPool, Complete: first(ownPool),
			Usage: "POOL HANDLER [ARG…]", Summary: "ask every ready worker of a pool",
			Help: "Fails if one of them fails or does not answer, after all had their time. Words that\n" +
				"look like flags go after --.",
		},
	}
}

func clusterCommands() []Command {
	return []Command{
		{
			Name: "restart", Role: Admin, Group: groupCluster, Flags: restartFlags, Run: restart,
			Summary: "new code everywhere: the primary in place, every pool, the shell last",
		},
		{
			Name: "stop", Role: Admin, Group: groupCluster, Flags: stopFlags, Run: stop,
			Summary: "end everything",
			Help:    "Asks for the cluster's name first; where it cannot ask, --yes is needed.",
		},
	}
}
