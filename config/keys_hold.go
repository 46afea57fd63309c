package config

import "time"

// Hold is [hold].
type Hold struct {
	MTA             string // auto, postfix, sendmail
	ConfigDirectory string // of Postfix, or Sendmail's .cf file; empty for the MTA's usual one
	Agent           string // the agent's socket
	// AgentGroup may ask the agent, beside root; empty for o2n-milter where there is
	// such a group.
	AgentGroup string
}

const release = "the release of held mail"

var holdKeys = []Key{
	{Name: "hold.mta", Kind: "auto | postfix | sendmail", Default: `"auto"`, Later: release, check: oneOf("auto", "postfix", "sendmail"),
		set: into(func(c *Config) *string { return &c.Hold.MTA })},
	{Name: "hold.config_directory", Kind: "path", Default: `""`, Later: release, check: orEmpty(text("a file or folder that exists", existing)),
		set: into(func(c *Config) *string { return &c.Hold.ConfigDirectory })},
	{Name: "hold.agent", Kind: "path", Default: `"/run/o2n-milter/hold.sock"`, Later: release, check: text(wantSocket, socketPath),
		set: into(func(c *Config) *string { return &c.Hold.Agent })},
	{Name: "hold.agent_group", Kind: "group", Default: `""`, Later: release,
		check: orEmpty(plain("a group of this host, or \"\" for o2n-milter", group)),
		set:   into(func(c *Config) *string { return &c.Hold.AgentGroup })},
	{Name: "hold.max_age", Kind: "duration", Default: `"72h"`, Later: release, check: duration(time.Minute, maxWindow)},
}
