package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"o2n-milter/message"
	"o2n-milter/rules"
)

var bulkKeys = []Key{
	{Name: "bulk.similar", Kind: "integer", Default: "20", check: integer[int64](2, rules.MaxCampaign),
		set: into(func(c *Config) *int64 { return &c.Rules.Bulk.Similar })},
	{Name: "bulk.window", Kind: "duration", Default: `"24h"`, check: duration(minWindow, maxWindow),
		set: into(func(c *Config) *time.Duration { return &c.Rules.Bulk.Window })},
	act("bulk.unsubscribe", "reject"),
	act("bulk.one_click", "shadow"),
	act("bulk.reason", "shadow"),
	act("bulk.volume", "reject"),
	{Name: "bulk.max_campaign", Kind: "integer", Default: "200", check: integer[int64](1, rules.MaxCampaign),
		set: into(func(c *Config) *int64 { return &c.Rules.Bulk.MaxCampaign })},
	act("bulk.pace", "off"),
	{Name: "bulk.pace_max", Kind: "integer", Default: "10", check: integer[int64](1, maxCount),
		set: into(func(c *Config) *int64 { return &c.Rules.Bulk.PaceMax })},
	{Name: "bulk.pace_window", Kind: "duration", Default: `"1m"`, check: duration(minWindow, maxWindow),
		set: into(func(c *Config) *time.Duration { return &c.Rules.Bulk.PaceWindow })},
	phrases("bulk.unsubscribe_phrases", rules.UnsubscribePhrases, func(c *Config) *[]string { return &c.Rules.Bulk.UnsubscribePhrases }),
	phrases("bulk.reason_phrases", rules.ReasonPhrases, func(c *Config) *[]string { return &c.Rules.Bulk.ReasonPhrases }),
}

func phrases(name string, std []string, field func(*Config) *[]string) Key {
	quoted := make([]string, len(std))
	for i, s := range std {
		quoted[i] = strconv.Quote(s)
	}
	return Key{Name: name, Kind: "list of phrases", Default: "[" + strings.Join(quoted, ", ") + "]",
		check: list[string]("a list of phrases", plain(wantPhrase, phrase)), set: into(field)}
}

const wantPhrase = "a phrase of 4 to 200 bytes that begins with a letter or digit"

// phrase refuses what would be found in any mail, or in none.
func phrase(s string) (string, error) {
	folded := strings.TrimSpace(message.Fold(s))
	switch {
	case len(folded) < 4 || len(s) > 200:
		return "", fmt.Errorf("has %d bytes", len(folded))
	case strings.ContainsRune(` !"#$%&'()*+,-./:;<=>?@[\]^_{|}~`+"`", rune(folded[0])):
		return "", errors.New("begins with another sign")
	}
	return s, nil
}

// campaigns refuses a volume at which no letter is bulk yet: whoever means that few
// recipients lowers both.
func (r *reader) campaigns() {
	b := r.cfg.Rules.Bulk
	if b.MaxCampaign >= b.Similar || r.cfg.Rules.Actions["bulk.volume"] == rules.Off {
		return
	}
	key, want := "max_campaign", fmt.Sprintf("at least bulk.similar, %d", b.Similar)
	problem := fmt.Sprintf("%d is less than makes a campaign", b.MaxCampaign)
	if !r.isSet("bulk", key) {
		key, want = "similar", fmt.Sprintf("at most bulk.max_campaign, %d", b.MaxCampaign)
		problem = fmt.Sprintf("%d is more than a campaign may have", b.Similar)
	}
	r.faultAt(r.at("bulk", key), "bulk."+key, problem, want)
}
