// Command o2n-milter is the daemon and its operator's tools in one binary.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"o2n-milter/config"
)

// Exit codes of sysexits(3).
const (
	exitOK          = 0
	exitNo          = 1  // a check said no
	exitUsage       = 64 // EX_USAGE
	exitInput       = 65 // EX_DATAERR
	exitUnavailable = 69 // EX_UNAVAILABLE: the daemon cannot be reached
	exitConfig      = 78 // EX_CONFIG
)

// exitError is an error that has its own exit code. A nil err has been told already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func exit(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// app is what every command shares.
type app struct {
	in         io.Reader
	out, err   io.Writer // data; talk
	configFile string
	json       bool
}

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is main without the process: arguments in, exit code out.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	// What is no exitError is cobra's: unknown command, flag or argument.
	code := exitUsage
	if ee := (*exitError)(nil); errors.As(err, &ee) {
		code = ee.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(errOut, "%so2n-milter: %s\n", errorPrefix(errOut), text)
	}
	return code
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "o2n-milter",
		Short:         "Keep shared outbound mail servers clean",
		Long:          "o2n-milter enforces a hosting provider's sending rules behind Postfix and Sendmail.",
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return &exitError{code: exitUsage}
		},
	}
	root.PersistentFlags().StringVar(&a.configFile, "config", config.DefaultFile, "main configuration `FILE`")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON")
	root.AddCommand(a.serveCommand(), a.holdAgentCommand(), a.configtestCommand(), a.checkCommand(), a.replayCommand(), a.blockCommand(), a.requestCommand(), a.exemptCommand(), a.heldCommand(),
		a.linkCommand(), a.consoleCommand(),
		a.usageCommand(), a.historyCommand(), a.explainCommand(), a.resetCommand(), a.statusCommand(), a.doctorCommand(), a.demoCommand(), a.versionCommand())
	markFailures(root)
	a.complete(root)
	return root
}

// markFailures gives errors of the commands themselves exit code 1, so that what
// is left without a code is cobra's: a wrong command, flag or argument.
func markFailures(c *cobra.Command) {
	run := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		if ee := (*exitError)(nil); err == nil || errors.As(err, &ee) {
			return err
		}
		return &exitError{exitNo, err}
	}
	for _, sub := range c.Commands() {
		markFailures(sub)
	}
}

// group is a command that only holds others.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return exit(exitUsage, "%s: want one of its commands, see o2n-milter %s --help", cmd.Name(), cmd.Name())
		},
	}
	c.AddCommand(subs...)
	return c
}

// load reads the configuration, or reports every fault and gives exit code 78.
func (a *app) load(cmd *cobra.Command) (*config.Config, error) {
	cfg, faults := readConfig(a.configFile, cmd.Flags().Changed("config"))
	if len(faults) == 0 {
		return cfg, nil
	}
	return nil, a.faulty(faults)
}

// faulty tells every fault, and gives exit code 78.
func (a *app) faulty(faults []config.Fault) error {
	for _, f := range faults {
		fmt.Fprintln(a.err, errorPrefix(a.err)+f.Error())
	}
	return &exitError{code: exitConfig}
}
