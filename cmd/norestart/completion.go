package main

import (
	"github.com/spf13/cobra"

	"github.com/norestart/norestart/commands"
)

func completionCommand(std streams) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print a script that completes this command in a shell",
		Long: `Print a script with which your shell completes this command on Tab. After
"norestart exec HOST" the commands of that admin port are completed, too: it is
asked for them, if it answers and a key lets you in, and the answer is kept for
five minutes.`,
		Example: "  source <(norestart completion bash)        # in ~/.bashrc\n" +
			"  norestart completion zsh > \"${fpath[1]}/_norestart\"\n" +
			"  norestart completion fish > ~/.config/fish/completions/norestart.fish",
		Args:      exact("bash, zsh or fish"),
		ValidArgs: []cobra.Completion{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(std.out, true)
			case "zsh":
				return root.GenZshCompletion(std.out)
			case "fish":
				return root.GenFishCompletion(std.out, true)
			}
			return commands.Usagef("no shell %q: bash, zsh or fish", args[0])
		},
	}
}
