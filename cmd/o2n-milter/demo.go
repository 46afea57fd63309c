package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"o2n-milter/demo"
)

func (a *app) demoCommand() *cobra.Command {
	var once bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show a made-up day, without an MTA",
		Long: "Run the real filter with a small SMTP server, the operator console and the customer page, all on loopback, and\n" +
			"play a made-up day of a hosting provider in about a minute: one site is hijacked. Needs no root and no\n" +
			"configuration; all files are in a temporary folder, which is removed at the end. Then it serves on until Ctrl-C.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("config") {
				return exit(exitUsage, "demo makes a configuration of its own; to run yours, o2n-milter serve --config FILE")
			}
			return a.demo(cmd, once)
		},
	}
	c.Flags().BoolVar(&once, "once", false, "play the day without pauses, and end with it")
	return c
}

func (a *app) demo(cmd *cobra.Command, once bool) (err error) {
	// A closed terminal, or a pipe whose reader has gone, must leave no folder either.
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	program, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "o2n-demo-")
	if err != nil {
		return err
	}
	defer func() {
		if gone := os.RemoveAll(dir); err == nil {
			err = gone
		}
	}()
	return demo.Run(ctx, demo.Options{
		Program: program, Dir: dir, Out: a.out, JSON: a.json, Once: once, Hurry: once,
		Ask: func(socket, path string, in, out any) error { return newClient(socket).call(path, in, out) },
	})
}
