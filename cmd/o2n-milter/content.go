package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"o2n-milter/config"
	"o2n-milter/content"
)

// joinContent lets the rules of a configuration ask its content engine, where it has
// one. count is told of each question.
func joinContent(cfg *config.Config, log *slog.Logger, count func(time.Duration, *content.Fault)) error {
	c := cfg.Content
	if c.URL == "" {
		return nil
	}
	o := content.Options{URL: c.URL, Timeout: c.Timeout, Log: log, Now: time.Now, Observe: count}
	if c.PasswordFile != "" {
		raw, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return fmt.Errorf("content.password_file: %w", err)
		}
		o.Password = config.Password(raw)
	}
	client, err := content.New(o)
	if err != nil {
		return err
	}
	cfg.Rules.Content.Ask = client.Score
	return nil
}
