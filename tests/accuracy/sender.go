package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/config"
	"o2n-milter/message"
	"o2n-milter/rules"
	"o2n-milter/state/memory"
)

// sender is one account under the default rules and nothing else: no limits, no
// automatic blocks, a store of its own. It sends a message a minute.
type sender struct {
	engine *rules.Engine
	at     time.Time
	sent   int
}

const account = "news@client-a.example"

// defaults are the rules that a file without a word sets.
func defaults() (rules.Settings, error) {
	dir, err := os.MkdirTemp("", "accuracy")
	if err != nil {
		return rules.Settings{}, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "o2n-milter.toml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return rules.Settings{}, err
	}
	cfg, faults := config.Load(file, true)
	if len(faults) > 0 {
		return rules.Settings{}, fmt.Errorf("default configuration: %w", faults[0])
	}
	cfg.Rules.Blocking.Automatic = rules.Off
	return cfg.Rules, nil
}

func newSender(set rules.Settings) *sender {
	table, clashes := accounts.NewTable([]*accounts.Account{{Login: account, Customer: "C-1", Addresses: []string{account}, Domains: []string{"client-a.example"}}})
	if len(clashes) > 0 {
		panic(clashes) // one account clashes with nothing
	}
	s := &sender{at: time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)}
	s.engine = rules.New(set, table, memory.New(), func() time.Time { return s.at })
	return s
}

// recipient is somebody else each time.
func (s *sender) recipient() string { return fmt.Sprintf("r%d@d%d.example", s.sent, s.sent%9) }

// send judges a letter to the next recipient.
func (s *sender) send(l letter) rules.Verdict {
	v, err := s.judge(account, l.mail(account, s.recipient(), s.sent))
	if err != nil {
		panic(err) // the message is our own
	}
	return v
}

// judge judges a message as sent by this login to the next recipient.
func (s *sender) judge(login string, data []byte) (rules.Verdict, error) {
	raw, err := message.Split(bytes.NewReader(data), 64<<20)
	if err != nil {
		return rules.Verdict{}, err
	}
	s.at = s.at.Add(time.Minute)
	v := s.engine.Decide(context.Background(), &rules.Mail{
		Client: netip.MustParseAddr("192.0.2.7"), Host: "mx.example", Login: login, Sender: login, QueueID: "Q1",
		Recipients: []rules.Recipient{{Address: s.recipient()}}, Header: raw.Fields, Body: raw.Body, Size: raw.Size,
	})
	s.sent++
	return v, v.Err
}
