package builtin

import (
	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/internal/commandline"
)

func helpCommands() []commands.Command {
	return []commands.Command{
		{
			Name: "help", Role: commands.Viewer, Group: groupSession, Flags: noFlags, Run: commandline.Help,
			Usage: "[COMMAND]|all", Summary: "what you may type, or all about one command",
			Help: "Without an argument: the commands by groups, in 24 lines. help all has every command\n" +
				"with its arguments, and the filters.",
		},
		{
			Name: "?", Hidden: true, Role: commands.Viewer, Group: groupSession, Flags: noFlags, Run: commandline.Help,
			Usage: "[COMMAND]", Summary: "the same as help; \"worker ?\" lists what may follow",
		},
	}
}
