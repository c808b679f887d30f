package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/norestart/norestart/agent"
	"github.com/norestart/norestart/control"
	"github.com/norestart/norestart/internal/ipc"
)

func metricsCommand(std streams) *cobra.Command {
	var p place
	var listen string
	cmd := &cobra.Command{
		Use:   "metrics [--dir DIR | --name NAME] [--listen ADDRESS]",
		Short: "Print or serve the metrics of a cluster on this machine",
		Long: `Print the metrics of a cluster on this machine as text for Prometheus, or serve
them at http://ADDRESS/metrics until Ctrl-C. They are read over the local
socket, as root or as the cluster's own user. Clusters of "norestart up" serve
theirs by the table [metrics]; this is for those of an application. Events,
exits and jobs are counted with --listen alone, from its start on.`,
		Example: "  norestart metrics --dir ./state\n  norestart metrics --name shop --listen 127.0.0.1:9100",
		Args:    exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := p.find()
			if err != nil {
				return err
			}
			client := &ipc.Client{Dial: ctl{std: std, run: d.Run, state: d.State}.dial}
			st, err := control.Get(cmd.Context(), client, control.StatusQuery{})
			if err != nil {
				return err
			}
			if listen == "" {
				return agent.PrintMetrics(cmd.Context(), client, st.Name, std.out)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return serveMetrics(ctx, std.out, client, st.Name, listen)
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&listen, "listen", "", "serve them at this `address`, as 127.0.0.1:9100")
	return cmd
}

func serveMetrics(ctx context.Context, out io.Writer, client *ipc.Client, cluster, addr string) error {
	var l net.ListenConfig
	ln, err := l.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", addr, err)
	}
	fmt.Fprintf(out, "metrics at http://%s/metrics\n", ln.Addr())
	return agent.ServeMetrics(ctx, client, cluster, ln)
}
