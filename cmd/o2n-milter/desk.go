package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/config"
	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/web/desk"
	"o2n-milter/web/stats"
)

// judge answers the desk under the rules and accounts now in force.
type judge struct{ engine *atomic.Pointer[rules.Engine] }

func (j judge) WindowsOf(ctx context.Context, now time.Time, subject string) ([]rules.Window, error) {
	return j.engine.Load().WindowsOf(ctx, now, subject)
}

func (j judge) Account(ctx context.Context, login string) (*accounts.Account, error) {
	return j.engine.Load().AccountOf(ctx, login)
}

func (j judge) Settings() *rules.Settings { return j.engine.Load().Settings() }

// startStats counts until the function that it returns is called, which keeps what
// is left.
func startStats(store state.Store, log *slog.Logger, now func() time.Time) (*stats.Counter, func()) {
	host, err := os.Hostname()
	if err != nil {
		log.Warn("statistics: no host name, they stand under localhost", "error", err)
	}
	c := stats.New(store, host, log)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		c.Run(ctx, now)
		close(done)
	}()
	return c, func() {
		cancel()
		<-done
	}
}

// openLinks reads the key of the customers' links. Without a file there are none.
func openLinks(file string) (*desk.Links, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var links *desk.Links
	if err == nil {
		var key []byte
		if key, err = desk.ParseKey(raw); err == nil {
			links, err = desk.NewLinks(key)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("web.link_key_file: %w", err)
	}
	return links, nil
}

// consoleURL is where operators reach the console: by the public URL where that
// leads to web.listen, else by web.listen itself.
func consoleURL(cfg *config.Config) string {
	file, _ := cfg.Rules.Origin("web.public_url")
	switch {
	case cfg.Web.Listen == "":
		return ""
	case file != "" && cfg.Web.PublicListen == "":
		return publicURL(cfg)
	}
	return "http://" + cfg.Web.Listen
}

func publicURL(cfg *config.Config) string { return strings.TrimRight(cfg.Web.PublicURL, "/") }

// newDesk is the desk of the running daemon.
func newDesk(cfg *config.Config, store state.Store, engine *atomic.Pointer[rules.Engine], log *slog.Logger, clock *hostClock) *desk.Desk {
	links, err := openLinks(cfg.Web.LinkKeyFile)
	if err != nil {
		// A default file that this user may not read; one that is named is a fault.
		log.Warn("customer links cannot be signed", "error", err)
	}
	return &desk.Desk{
		Store: store, Judge: judge{engine}, Log: log, Now: clock.Now, Clock: clock.Trouble,
		Links: links, PublicURL: publicURL(cfg), ConsoleURL: cmp.Or(consoleURL(cfg), publicURL(cfg)), Version: version,
	}
}
