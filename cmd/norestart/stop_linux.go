package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/primary"
)

func stopCommand(std streams) *cobra.Command {
	var p place
	var orphans, asJSON bool
	cmd := &cobra.Command{
		Use:   "stop --orphans [--json] [--name CLUSTER | --dir DIR]",
		Short: "End the workers that a dead primary left over",
		Long: `End the workers of a primary that was killed, if no next primary is to adopt
them. Each is asked to drain and has the time that its pool gives; then its
connections are cut, then it is killed. The next start begins anew, as after a
stop.

It is refused while a primary lives: use norestart ctl stop for that.`,
		Example: "  norestart stop --orphans --dir ./state",
		Args:    exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !orphans {
				return hint(commands.Usagef("--orphans is missing: it ends what a dead primary left over"), "norestart ctl stop ends a cluster that runs")
			}
			return stopOrphans(cmd.Context(), std.out, &p, asJSON)
		},
	}
	cmd.Flags().BoolVar(&orphans, "orphans", false, "end the workers that a dead primary left over")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one object in JSON")
	p.flags(cmd)
	return cmd
}

func stopOrphans(ctx context.Context, out io.Writer, p *place, asJSON bool) error {
	d, err := p.find()
	if err != nil {
		return err
	}
	if d.State, _, err = actAs(d.State); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	var ended []primary.Orphan
	cfg := primary.Config{Run: d.Run, State: d.State, PID: os.Getpid(), Starter: proc.NewOS()}
	err = primary.EndOrphans(ctx, cfg, func(o primary.Orphan) {
		ended = append(ended, o)
		if !asJSON {
			fmt.Fprintln(out, describeOrphan(o))
		}
	})
	switch {
	case errors.Is(err, primary.ErrTaken):
		return hint(err, "norestart ctl stop")
	case ctx.Err() != nil && err != nil:
		return &control.Error{Status: commands.StatusCancelled, Err: err}
	case err != nil:
		return err
	case asJSON:
		return writeList(out, "workers", ended)
	case len(ended) == 0:
		fmt.Fprintln(out, "nothing is left over")
	}
	return nil
}

func describeOrphan(o primary.Orphan) string {
	if o.Killed != "" {
		return fmt.Sprintf("worker %s killed: pid %d, generation %d: it %s", o.Worker, o.PID, o.Generation, o.Killed)
	}
	return fmt.Sprintf("worker %s ended: pid %d, generation %d", o.Worker, o.PID, o.Generation)
}
