package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/norestart/norestart/control"
)

func jobFlags(flags *pflag.FlagSet) {
	flags.Bool("detach", false, "print the id of the job and do not wait")
}

func reloadFlags(flags *pflag.FlagSet) {
	flags.Duration("timeout", 0, "`time` for each worker to become ready")
	flags.Int("max-surge", 0, "`workers` to replace at once; 0: each ends before its successor starts")
	flags.Bool("keep", false, "leave what was replaced when a later worker fails")
	jobFlags(flags)
}

func reload(ctx context.Context, call *Call) error {
	r := control.ReloadRequest{Pools: call.Args[1:]}
	var err error
	if r.Timeout, err = call.duration("timeout"); err != nil {
		return err
	}
	if r.MaxSurge, err = call.Flags().GetInt("max-surge"); err != nil {
		return err
	}
	switch {
	case r.MaxSurge < 0:
		return Usagef("reload: --max-surge must be 0 or more")
	case call.Flags().Changed("max-surge") && r.MaxSurge == 0:
		r.MaxSurge = control.NoSurge
	}
	if r.Keep, err = call.Flags().GetBool("keep"); err != nil {
		return err
	}
	return call.begin(ctx, func(ctx context.Context) (control.Job, error) {
		return call.Primary.Reload(ctx, r)
	})
}

// duration returns the value of a flag that, if it is given, must be above 0.
func (c *Call) duration(flag string) (time.Duration, error) {
	d, err := c.Flags().GetDuration(flag)
	if err != nil {
		return 0, err
	}
	if d < 0 || c.Flags().Changed(flag) && d == 0 {
		return 0, Usagef("%s: --%s must be above 0", c.Args[0], flag)
	}
	return d, nil
}

func restartFlags(flags *pflag.FlagSet) {
	flags.Bool("primary", false, "only the primary's own code: the workers are not touched")
	jobFlags(flags)
}

func restart(ctx context.Context, call *Call) error {
	if _, err := call.Words(0, 0); err != nil {
		return err
	}
	primary, err := call.Flags().GetBool("primary")
	if err != nil {
		return err
	}
	return call.begin(ctx, func(ctx context.Context) (control.Job, error) {
		return call.Primary.Restart(ctx, control.RestartRequest{Primary: primary})
	})
}

func stopFlags(flags *pflag.FlagSet) {
	flags.Bool("yes", false, "do not ask")
	jobFlags(flags)
}

func stop(ctx context.Context, call *Call) error {
	if _, err := call.Words(0, 0); err != nil {
		return err
	}
	yes, err := call.Flags().GetBool("yes")
	if err != nil {
		return err
	}
	if call.Mode == Interactive {
		return call.stopAtPrompt(ctx, yes)
	}
	if !yes {
		return call.canConfirm()
	}
	return call.beginStop(ctx)
}

func (c *Call) beginStop(ctx context.Context) error {
	return c.begin(ctx, func(ctx context.Context) (control.Job, error) {
		return c.Primary.Stop(ctx, control.StopRequest{})
	})
}

// stopAtPrompt has a last word, for no prompt comes after it.
func (c *Call) stopAtPrompt(ctx context.Context, yes bool) error {
	s, err := c.status(ctx)
	if err != nil {
		return err
	}
	if !yes {
		n := count(s).Current
		what := fmt.Sprintf("This stops %s: %d worker%s and the primary.", s.Name, n, plural(n))
		if err := c.confirmName(what, s.Name); err != nil {
			return err
		}
	}
	if err := c.beginStop(ctx); err != nil || !c.narrates() {
		return err
	}
	c.Printf("%s has stopped\n", Safe(s.Name))
	return nil
}
