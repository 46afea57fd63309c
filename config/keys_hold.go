package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"o2n-milter/rules"
)

// Hold is [hold].
type Hold struct {
	MTA             string // auto, postfix, sendmail
	ConfigDirectory string // of Postfix, or Sendmail's .cf file; empty for the MTA's usual one
	Agent           string // the agent's socket
	// AgentGroup may ask the agent, beside root; empty for o2n-milter where there is
	// such a group.
	AgentGroup string

	MaxAge        time.Duration
	MaxPerSubject int      // held messages of one subject on this host
	MaxMessages   int      // held messages on this host
	Keep          []string // rule ids and tables whose mail is not sent back at MaxAge
	// Queued also holds what a blocked sender still has in the queue
	// (block.hold_queued).
	Queued bool
}

// mostHeldMail bounds hold.max_messages: each has a record of a kilobyte or two in
// the memory of every host.
const mostHeldMail = 100_000

var holdKeys = []Key{
	{Name: "hold.mta", Kind: "auto | postfix | sendmail", Default: `"auto"`, check: oneOf("auto", "postfix", "sendmail"),
		set: into(func(c *Config) *string { return &c.Hold.MTA })},
	{Name: "hold.config_directory", Kind: "path", Default: `""`, check: orEmpty(text("a file or folder that exists", existing)),
		set: into(func(c *Config) *string { return &c.Hold.ConfigDirectory })},
	{Name: "hold.agent", Kind: "path", Default: `"/run/o2n-milter/hold.sock"`, check: text(wantSocket, socketPath),
		set: into(func(c *Config) *string { return &c.Hold.Agent })},
	{Name: "hold.agent_group", Kind: "group", Default: `""`,
		check: orEmpty(plain("a group of this host, or \"\" for o2n-milter", group)),
		set:   into(func(c *Config) *string { return &c.Hold.AgentGroup })},
	{Name: "hold.max_age", Kind: "duration", Default: `"72h"`, check: duration(time.Minute, maxWindow),
		set: into(func(c *Config) *time.Duration { return &c.Hold.MaxAge })},
	{Name: "hold.keep", Kind: "list of rule ids and tables", Default: "[]",
		check: list[string](`a list such as ["content", "limit.day"]`, plain("a rule that can hold mail", holdingRule)),
		set:   into(func(c *Config) *[]string { return &c.Hold.Keep })},
	{Name: "hold.max_per_subject", Kind: "integer", Default: "1000", check: integer(1, mostHeldMail),
		set: into(func(c *Config) *int { return &c.Hold.MaxPerSubject })},
	{Name: "hold.max_messages", Kind: "integer", Default: "10000", check: integer(1, mostHeldMail),
		set: into(func(c *Config) *int { return &c.Hold.MaxMessages })},
	{Name: "hold.full", Kind: "tempfail | reject", Default: `"tempfail"`, check: oneOf("tempfail", "reject"),
		set: func(c *Config, _ []string, v any) {
			c.Rules.Actions["hold.full"] = map[any]rules.Action{"tempfail": rules.Tempfail, "reject": rules.Reject}[v]
		}},
}

// holdingRule refuses what names no rule that can hold mail, nor the part of an id
// before its dot.
func holdingRule(name string) (string, error) {
	group, limit, dotted := strings.Cut(name, ".")
	if dotted && group == "limit" && limitName.MatchString(limit) {
		return name, nil
	}
	names := func(id string) bool {
		of, _, _ := strings.Cut(id, ".")
		return of != "hold" && (name == id || name == of)
	}
	if !slices.ContainsFunc(rules.IDs(), names) {
		return "", fmt.Errorf("is no rule that can hold mail")
	}
	return name, nil
}
