package commands

import "context"

func sessionCommands(version string) []Command {
	return []Command{
		{
			Name: "whoami", Role: Viewer, Group: groupSession, Flags: noFlags, Run: whoami,
			Summary: "your name and role",
		},
		{
			Name: "help", Role: Viewer, Group: groupSession, Flags: noFlags, Run: help,
			Usage: "[COMMAND]", Summary: "what you may type, or all about one command",
		},
		{
			Name: "?", Role: Viewer, Group: groupSession, Flags: noFlags, Run: help,
			Usage: "[COMMAND]", Summary: "the same as help; \"worker ?\" lists what may follow",
		},
		{
			Name: "version", Role: Viewer, Group: groupSession, Flags: noFlags, Run: versionCommand(version),
			Summary: "the version of norestart",
		},
	}
}

func whoami(_ context.Context, call *Call) error {
	if _, err := call.Words(0, 0); err != nil {
		return err
	}
	if call.JSON {
		return call.WriteJSON(struct {
			User string `json:"user"`
			Role string `json:"role"`
		}{call.User, call.Role.String()})
	}
	call.Printf("%s, role %s\n", Safe(call.User), call.Role)
	return nil
}

func versionCommand(version string) func(context.Context, *Call) error {
	return func(_ context.Context, call *Call) error {
		if _, err := call.Words(0, 0); err != nil {
			return err
		}
		if call.JSON {
			return call.WriteJSON(map[string]string{"norestart": version})
		}
		call.Printf("norestart %s\n", version)
		return nil
	}
}
