package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/proc"
	"github.com/norestart/norestart/primary"
)

func stopCommand(std streams) *cobra.Command {
	var p place
	var orphans, asJSON bool
	cmd := &cobra.Command{
		Use:   "stop --orphans [--json] [--name CLUSTER | --dir DIR]",
		Short: "End the workers that a dead primary left over",
		Long: `End the workers that a primary left over which was killed, for when no next one
is to adopt them. Each is asked to drain and has the time that its pool gives;
then it is cut, then killed. The next start begins anew, as after a stop.

It is refused while a primary lives: that one is stopped by norestart ctl stop.`,
		Example:               "  norestart stop --orphans --dir ./state",
		Args:                  exact(),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !orphans {
				return hint(usage(errors.New("--orphans is missing: it ends what a dead primary left over")), "norestart ctl stop ends a cluster that runs")
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
	if err := p.one(); err != nil {
		return err
	}
	d, err := dirs.Find(p.name, p.dir)
	if err != nil {
		return err
	}
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	ended := []primary.Orphan{}
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
		return &statusError{status: statusCancelled, err: err}
	case err != nil:
		return err
	case asJSON:
		return json.NewEncoder(out).Encode(struct {
			Version int              `json:"version"`
			Workers []primary.Orphan `json:"workers"`
		}{1, ended})
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
