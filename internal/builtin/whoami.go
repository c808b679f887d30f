package builtin

import (
	"context"

	"github.com/norestart/norestart/commands"
)

func whoamiCommand() commands.Command {
	return commands.Command{
		Name: "whoami", Role: commands.Viewer, Group: groupSession, Flags: noFlags, Run: run(0, 0, whoami),
		Summary: "your name and role",
	}
}

func whoami(_ context.Context, call *Call) error {
	if call.JSON {
		return call.WriteJSON(struct {
			User string `json:"user"`
			Role string `json:"role"`
		}{call.User, call.Role.String()})
	}
	call.Printf("%s, role %s\n", commands.Safe(call.User), call.Role)
	return nil
}
