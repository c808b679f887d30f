package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/commands"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/config"
	"github.com/norestart/norestart/internal/dirs"
	"github.com/norestart/norestart/internal/doctor"
	"github.com/norestart/norestart/internal/inherit"
	"github.com/norestart/norestart/internal/ipc"
)

func doctorCommand(std streams) *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor [--dir DIR] [--json] [FILE]",
		Short: "Say what on this machine would bite a cluster, and how to mend it",
		Long: `Look at this machine as a cluster would that runs a configuration, norestart.toml
unless another is named and if it is there: limits, kernel, addresses in use,
directories, units of systemd, clock. The status is 1 when something would bite.

Run it as the user that the cluster is to run as: what it says holds for the
limits and rights of this process.`,
		Example: "  norestart doctor\n  norestart doctor /srv/shop/norestart.toml",
		Args:    optional("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := patient(cmd.Context(), std, args, dir)
			if err != nil {
				return err
			}
			return tellFindings(std.out, doctor.Look(c), asJSON)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the cluster, if it is started with --dir")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one object in JSON")
	return cmd
}

// patient is the cluster that a configuration describes; without one, a small one.
func patient(ctx context.Context, std streams, args []string, dir string) (c doctor.Cluster, err error) {
	home, _ := os.UserHomeDir() // without one, its units are not looked at
	c = doctor.Cluster{Workers: runtime.NumCPU(), Units: doctor.UnitDirs(home)}
	path := cmp.Or(strings.Join(args, ""), config.FileName)
	if _, err := os.Stat(path); len(args) == 0 && errors.Is(err, fs.ErrNotExist) {
		path = ""
	}
	if path != "" {
		file, err := loadConfig(std.err, path)
		if err == nil {
			err = describe(&c, file)
		}
		if err != nil {
			return c, err
		}
	}
	if c.Name == "" && dir == "" {
		return c, nil
	}
	if c.Dirs, err = dirs.Of(c.Name, dir); err != nil {
		return c, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err = control.Get(ctx, &ipc.Client{Dial: ctl{run: c.Dirs.Run}.dial}, control.StatusQuery{})
	c.Runs = err == nil
	return c, nil
}

// describe fills in what a file says.
func describe(c *doctor.Cluster, file *config.File) error {
	c.Name, c.Workers = file.Name, 0
	for _, p := range file.Spec().Pools {
		if p.Workers > 0 {
			c.Workers += p.Workers
		} else {
			c.Workers += runtime.NumCPU()
		}
		for _, text := range p.Listen {
			if err := addAddress(c, p.Name, text, sharing(p.Share)); err != nil {
				return err
			}
		}
	}
	if s := file.ShellConfig(); s != nil {
		// A port below 0 is any free one.
		return addAddress(c, "shell", "tcp://"+net.JoinHostPort(s.Host, fmt.Sprint(max(0, s.Port))), inherit.One)
	}
	return nil
}

// sharing is how the sockets of a pool are made.
func sharing(share string) string {
	switch share {
	case control.ShareSeize:
		return control.ShareSlots
	case control.ShareRelay:
		return control.ShareOne
	}
	return share
}

func addAddress(c *doctor.Cluster, pool, text, share string) error {
	l, err := inherit.Parse(text)
	c.Listen = append(c.Listen, doctor.Address{Pool: pool, Listen: l, Share: cmp.Or(share, inherit.Slots)})
	return err
}

// tellFindings prints them, and how many bite.
func tellFindings(w io.Writer, all []doctor.Finding, asJSON bool) error {
	bites := 0
	for _, f := range all {
		if f.Bites {
			bites++
		}
	}
	switch {
	case asJSON:
		if err := writeList(w, "findings", all); err != nil {
			return err
		}
	default:
		if err := printFindings(w, all); err != nil {
			return err
		}
		fmt.Fprintf(w, "%d of %d would bite\n", bites, len(all))
	}
	if bites > 0 {
		return &control.Error{Status: commands.StatusFailed}
	}
	return nil
}

func printFindings(w io.Writer, all []doctor.Finding) error {
	for _, f := range all {
		word := "well "
		switch {
		case f.Bites:
			word = "BITES"
		case f.Mend != "":
			word = "note "
		}
		if _, err := fmt.Fprintf(w, "%s  %s: %s\n", word, f.About, f.Text); err != nil {
			return err
		}
		if f.Mend != "" {
			fmt.Fprintf(w, "       mend: %s\n", f.Mend)
		}
	}
	return nil
}
