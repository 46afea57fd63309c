package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"o2n-milter/rules"
)

var blockKeys = []Key{
	act("block.active", "reject"),
	{Name: "block.automatic", Kind: "on | shadow | off", Default: `"on"`, check: oneOf("on", "shadow", "off"),
		set: func(c *Config, _ []string, v any) {
			c.Rules.Blocking.Automatic = map[any]rules.Action{"on": rules.Reject, "shadow": rules.Shadow, "off": rules.Off}[v]
		}},
	{Name: "block.strikes", Kind: "integer", Default: "5", check: integer(1, maxCount),
		set: into(func(c *Config) *int { return &c.Rules.Blocking.Strikes })},
	{Name: "block.within", Kind: "duration", Default: `"1h"`, check: duration(minWindow, maxWindow),
		set: into(func(c *Config) *time.Duration { return &c.Rules.Blocking.Within })},
	{Name: "block.weights", Kind: "table of integers by rule", Default: "{}", check: weights,
		set: into(func(c *Config) *map[string]int { return &c.Rules.Blocking.Weights })},
	{Name: "block.durations", Kind: "list of durations, the last may be manual", Default: `["1h", "4h", "24h", "manual"]`,
		check: blockDurations,
		set:   into(func(c *Config) *[]time.Duration { return &c.Rules.Blocking.Durations })},
	{Name: "block.remember", Kind: "duration", Default: `"30d"`, check: duration(minWindow, maxKeep),
		set: into(func(c *Config) *time.Duration { return &c.Rules.Blocking.Remember })},
	{Name: "block.max_per_hour", Kind: "integer", Default: "100", check: integer(1, maxCount),
		set: into(func(c *Config) *int { return &c.Rules.Blocking.MaxPerHour })},
	{Name: "block.max_share", Kind: "integer", Default: "10", check: integer(1, 100),
		set: into(func(c *Config) *int { return &c.Rules.Blocking.MaxShare })},
	{Name: "block.customer_after", Kind: "integer", Default: "3", check: integer(2, maxCount),
		set: into(func(c *Config) *int { return &c.Rules.Blocking.CustomerAfter })},
	{Name: "block.ip_after", Kind: "integer", Default: "3", check: integer(2, maxCount),
		set: into(func(c *Config) *int { return &c.Rules.Blocking.IPAfter })},
	{Name: "block.always_reachable", Kind: "list of mail addresses", Default: "[]",
		check: list[string]("a list of mail addresses", plain("a mail address", address)),
		set:   into(func(c *Config) *[]string { return &c.Rules.Blocking.Reachable })},
	{Name: "block.self_unblock", Kind: "integer", Default: "2", check: integer(0, 1000),
		set: into(func(c *Config) *int { return &c.Rules.SelfUnblock })},
	{Name: "block.hold_queued", Kind: "boolean", Default: "false", check: boolean,
		set: into(func(c *Config) *bool { return &c.Hold.Queued })},
}

// table checks each value of a table in the order of its names; a table in it, as
// a dotted name makes it, holds values of the same kind.
func table[T any](want string, name func(string) error, element check) check {
	var into func(out map[string]T, path string, v map[string]any, dir string) []flaw
	into = func(out map[string]T, path string, v map[string]any, dir string) (flaws []flaw) {
		for _, key := range slices.Sorted(maps.Keys(v)) {
			full := path + key
			if inner, ok := v[key].(map[string]any); ok && path == "" {
				flaws = append(flaws, into(out, full+".", inner, dir)...)
				continue
			}
			if err := name(full); err != nil {
				flaws = append(flaws, flawed(want, "%s %v", show(full), err)...)
				continue
			}
			got, bad := element(v[key], dir)
			for _, f := range bad {
				f.problem = fmt.Sprintf("%s: %s", full, f.problem)
				flaws = append(flaws, f)
			}
			if bad == nil {
				out[full] = got.(T)
			}
		}
		return flaws
	}
	return func(v any, dir string) (any, []flaw) {
		values, ok := v.(map[string]any)
		if !ok {
			return nil, wrongType(v, want)
		}
		out := map[string]T{}
		return out, into(out, "", values, dir)
	}
}

var weights = table[int](`a table such as { "identity.header_from" = 2, limit = 1 }`, strikingRule, integer(0, 1000))

// strikingRule refuses what names no rule that can strike, nor the part of an id
// before its dot.
func strikingRule(name string) error {
	group, limit, dotted := strings.Cut(name, ".")
	if dotted && group == "limit" && limitName.MatchString(limit) {
		return nil
	}
	for _, id := range rules.IDs() {
		idGroup, _, _ := strings.Cut(id, ".")
		if rules.Strikes(id) && (name == id || name == idGroup) {
			return nil
		}
	}
	return fmt.Errorf("is no rule that can strike")
}

func blockDurations(v any, dir string) (any, []flaw) {
	one := duration(minWindow, maxKeep)
	step := func(v any, dir string) (any, []flaw) {
		if v == "manual" {
			return time.Duration(0), nil
		}
		return one(v, dir)
	}
	last := func(before []time.Duration, _ time.Duration) error {
		if len(before) > 0 && before[len(before)-1] == 0 {
			return errAfterManual
		}
		return nil
	}
	steps, flaws := elements(`a list of durations, the last may be "manual"`, step, `"manual" last`, last)(v, dir)
	if len(flaws) == 0 && len(steps.([]time.Duration)) == 0 {
		return nil, flawed("at least one duration", "is empty")
	}
	return steps, flaws
}
