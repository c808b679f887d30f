package builtin

import (
	"context"

	"github.com/norestart/norestart/commands"
)

func versionCommand(version string) commands.Command {
	return commands.Command{
		Name: "version", Role: commands.Viewer, Group: groupSession, Flags: noFlags, Run: run(0, 0, tellVersion(version)),
		Summary: "the version of norestart",
	}
}

func tellVersion(version string) func(context.Context, *Call) error {
	return func(_ context.Context, call *Call) error {
		if call.JSON {
			return call.WriteJSON(map[string]string{"norestart": version})
		}
		call.Printf("norestart %s\n", version)
		return nil
	}
}
