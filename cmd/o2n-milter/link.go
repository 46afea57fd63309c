package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"o2n-milter/web/desk"
)

func (a *app) linkCommand() *cobra.Command {
	var in desk.LinkFor
	c := &cobra.Command{
		Use:   "link ACCOUNT",
		Short: "Print a customer's signed link to his page",
		Long: "Print a signed link to the page of one account, as the provider's customer area makes it by itself. Whoever has the\n" +
			"link is that customer until it ends.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Account = args[0]
			var l desk.LinkView
			if err := a.tell(cmd, "/v1/links", in, &l); err != nil {
				return err
			}
			return a.printLink(l, l.URL, fmt.Sprintf("link of %s, until %s", clean(l.Account), showTime(&l.Until, "")))
		},
	}
	c.Flags().StringVar(&in.For, "for", "24h", "how long it is good: 1h, 7d")
	return c
}

func (a *app) consoleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "console",
		Short: "Print a one-time link to the operator console",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var l desk.ConsoleLink
			if err := a.tell(cmd, "/v1/console", struct{}{}, &l); err != nil {
				return err
			}
			return a.printLink(l, l.URL, "good once, until "+l.Until.Format(time.RFC3339))
		},
	}
}

// printLink puts nothing but the link on stdout.
func (a *app) printLink(v any, url, about string) error {
	if a.json {
		return a.printJSON(v)
	}
	fmt.Fprintln(a.err, about)
	_, err := fmt.Fprintln(a.out, url)
	return err
}
