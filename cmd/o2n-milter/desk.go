package main

import (
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
func startStats(beside *loops, store state.Store, host string, keep time.Duration, now func() time.Time) (*stats.Counter, func()) {
	c := stats.New(store, host, beside.log)
	c.KeepShadow(keep)
	return c, beside.start(context.Background(), "statistics", func(ctx context.Context) { c.Run(ctx, now) })
}

// openLinks reads the key of the customers' links, which signs the forms of all
// pages too. Without its file there are no links, and the forms get a key of their
// own.
func openLinks(file string, log *slog.Logger) (links *desk.Links, key []byte) {
	key, err := readKey(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		links, err = desk.NewLinks(key)
	}
	if err != nil {
		// A default file that this user may not read; one that is named is a fault.
		log.Warn("customer links cannot be signed", "error", fmt.Errorf("web.link_key_file: %w", err))
		return nil, nil
	}
	return links, key
}

// readKey reads a file that holds a key.
func readKey(file string) ([]byte, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return desk.ParseKey(raw)
}

// consoleURL is where operators reach the console: by web.listen itself, or by the
// public URL where that leads there.
func consoleURL(cfg *config.Config) string {
	file, _ := cfg.Rules.Origin("web.public_url")
	if cfg.Web.Listen == "" || file != "" && cfg.Web.PublicListen == "" {
		return publicURL(cfg)
	}
	return "http://" + cfg.Web.Listen
}

func publicURL(cfg *config.Config) string { return strings.TrimRight(cfg.Web.PublicURL, "/") }

// newDesk is the desk of the running daemon.
func newDesk(cfg *config.Config, store state.Store, engine *atomic.Pointer[rules.Engine], links *desk.Links, log *slog.Logger, clock *hostClock) *desk.Desk {
	return &desk.Desk{
		Store: store, Judge: judge{engine}, Log: log, Now: clock.Now, Clock: clock.Trouble,
		Links: links, PublicURL: publicURL(cfg), ConsoleURL: consoleURL(cfg), Version: version, Try: tryLive(engine),
	}
}
