package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"o2n-milter/config"
	"o2n-milter/rules"
	"o2n-milter/web/desk"
)

// completeWait is for how long Tab asks the daemon: who presses it wants to go on, with
// or without its answer.
const completeWait = time.Second

// subjectKinds begin what can be counted or blocked; a name goes on behind them.
var subjectKinds = []string{"account:", "customer:", "script:", "host:", "ip:", "domain:"}

// ids gives the ids that a command takes, each with a word about it behind a tab.
type ids func(*client) []string

// complete tells the shells what may stand where, for all commands below root. What is
// not named here is no file, and nobody can guess it.
func (a *app) complete(root *cobra.Command) {
	takes := map[string]ids{
		"block show": anyBlocks, "block extend": activeBlocks, "block lift": activeBlocks,
		"request approve": openRequests, "request deny": openRequests, "exempt remove": exemptionsInForce,
		"held show": heldMail, "held release": heldMail, "held delete": heldMail,
	}
	files := []string{"configtest", "check", "replay"}
	subjects := []string{"block add", "exempt add", "usage", "history", "reset"}
	_ = root.RegisterFlagCompletionFunc("config", tomlFiles) // the flag is there
	below(root, func(c *cobra.Command, name string) {
		switch find := takes[name]; {
		case find != nil:
			c.ValidArgsFunction = a.completeIDs(find)
		case slices.Contains(subjects, name):
			c.ValidArgsFunction = first(cobra.FixedCompletions(subjectKinds, cobra.ShellCompDirectiveNoSpace|cobra.ShellCompDirectiveNoFileComp))
		case !slices.Contains(files, name):
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() != "bool" {
				_ = c.RegisterFlagCompletionFunc(f.Name, a.flagValues(name, f.Name)) // once for each flag
			}
		})
	})
}

// below calls f for each command below c that does something, with its name as it is
// typed.
func below(c *cobra.Command, f func(*cobra.Command, string)) {
	for _, sub := range c.Commands() {
		if !sub.HasSubCommands() {
			f(sub, strings.TrimPrefix(sub.CommandPath(), sub.Root().Name()+" "))
		}
		below(sub, f)
	}
}

// flagValues are what a flag of a command may be set to.
func (a *app) flagValues(command, flag string) cobra.CompletionFunc {
	switch flag {
	case "rule":
		return a.completeRules(command)
	case "found":
		return a.completeRules("")
	case "rules":
		return tomlFiles
	case "config-directory":
		return cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
	case "subject":
		return cobra.FixedCompletions(subjectKinds, cobra.ShellCompDirectiveNoSpace|cobra.ShellCompDirectiveNoFileComp)
	}
	return cobra.FixedCompletions(map[string][]string{
		"action": {"accept", "tag", "quarantine", "tempfail", "reject"},
		"mta":    {"auto", "postfix", "sendmail"},
		"state":  {"empty", "live"},
	}[flag], cobra.ShellCompDirectiveNoFileComp)
}

func tomlFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"toml"}, cobra.ShellCompDirectiveFilterFileExt
}

// first completes the first argument alone.
func first(values cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return values(cmd, args, begun)
	}
}

// completeRules are the rules' ids, with the limits of the configuration, and what else
// the command takes for one.
func (a *app) completeRules(command string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		list := slices.DeleteFunc(rules.IDs(), func(id string) bool { return strings.HasSuffix(id, ".NAME") })
		cfg, _, _ := config.Inspect(a.configFile, cmd.Flags().Changed("config"))
		for _, l := range cfg.Rules.Limits {
			list = append(list, limitRule(l.Name))
		}
		switch command {
		case "exempt add":
			list = append(list, "block\tautomatic blocks")
		case "history", "explain":
			list = append(list, "none\tmail that passed")
		}
		slices.Sort(list)
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeIDs asks the daemon, and is silent when it is away. An id that stands there
// already is not offered again.
func (a *app) completeIDs(find ids) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		one := cmd.Args != nil && cmd.Args(cmd, append(slices.Clone(args), "ID")) != nil
		admin, _, known := config.LoadAdmin(a.configFile, cmd.Flags().Changed("config"))
		if one || !known {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		cl := newClient(admin.Socket)
		cl.http.Timeout = completeWait
		list := slices.DeleteFunc(find(cl), func(line string) bool {
			id, _, _ := strings.Cut(line, "\t")
			return slices.Contains(args, id)
		})
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// about is an id with a word about it.
func about(id string, words ...string) string {
	return id + "\t" + clean(strings.Join(words, ", "))
}

func activeBlocks(cl *client) []string { return blocksAt(cl, false) }
func anyBlocks(cl *client) []string    { return blocksAt(cl, true) }

func blocksAt(cl *client, all bool) (lines []string) {
	var list desk.BlockList
	_ = cl.call(listPath("/v1/blocks", all), nil, &list) // no daemon, no ids
	for _, b := range list.Blocks {
		lines = append(lines, about(b.ID, b.Subject, b.Rule))
	}
	return lines
}

func openRequests(cl *client) (lines []string) {
	var list desk.RequestList
	_ = cl.call("/v1/requests", nil, &list)
	for _, r := range list.Requests {
		lines = append(lines, about(r.ID, r.Subject))
	}
	return lines
}

func exemptionsInForce(cl *client) (lines []string) {
	var list desk.ExemptionList
	_ = cl.call("/v1/exemptions", nil, &list)
	for _, e := range list.Exemptions {
		lines = append(lines, about(e.ID, e.Subject, e.Rule))
	}
	return lines
}

func heldMail(cl *client) (lines []string) {
	var list desk.HeldList
	_ = cl.call("/v1/held", nil, &list)
	for _, h := range list.Held {
		lines = append(lines, about(h.ID, h.Subject, h.Rule))
	}
	return lines
}
