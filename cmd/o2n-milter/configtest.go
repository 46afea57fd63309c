package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"o2n-milter/config"
)

func (a *app) configtestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "configtest [FILE]",
		Short: "Check the configuration and report every fault",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, named := a.configFile, cmd.Flags().Changed("config")
			if len(args) == 1 {
				file, named = args[0], true
			}
			return a.configtest(file, named)
		},
	}
}

// faultView is a fault in JSON.
type faultView struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Key     string `json:"key"`
	Problem string `json:"problem"`
	Want    string `json:"want"`
}

func views(faults []config.Fault) []faultView {
	list := []faultView{}
	for _, f := range faults {
		list = append(list, faultView(f))
	}
	return list
}

func (a *app) configtest(file string, named bool) error {
	cfg, faults := readConfig(file, named)
	var notes []config.Fault
	if cfg != nil {
		notes = cfg.Notes
	}
	if a.json {
		if err := a.printJSON(map[string]any{"faults": views(faults), "notes": views(notes)}); err != nil {
			return err
		}
	} else {
		for _, f := range faults {
			fmt.Fprintln(a.out, f.Error())
		}
	}
	for _, n := range notes {
		fmt.Fprintln(a.err, n.Error())
	}
	if len(faults) > 0 {
		return &exitError{code: exitConfig}
	}
	return nil
}
