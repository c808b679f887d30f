package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func completionCommand(std streams) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print what completes this command in a shell",
		Long: `Print a script for the shell, that completes this command with Tab. The commands
of an admin port are completed as well: "norestart exec HOST" asks it which it
has, if it is there and a key lets in, and remembers the answer for five
minutes.`,
		Example: "  source <(norestart completion bash)        # in ~/.bashrc\n" +
			"  norestart completion zsh > \"${fpath[1]}/_norestart\"\n" +
			"  norestart completion fish > ~/.config/fish/completions/norestart.fish",
		Args:                  exact("bash, zsh or fish"),
		ValidArgs:             []cobra.Completion{"bash", "zsh", "fish"},
		DisableFlagsInUseLine: true,
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
			return usage(fmt.Errorf("no shell %q: bash, zsh or fish", args[0]))
		},
	}
}
