package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"o2n-milter/accounts"
	"o2n-milter/config"
	"o2n-milter/content"
	"o2n-milter/hold"
	"o2n-milter/internal/chaos"
	"o2n-milter/rules"
	"o2n-milter/web/desk"
)

// liveConfig is what a reload replaces, and what it takes to replace it.
type liveConfig struct {
	engine    atomic.Pointer[rules.Engine]
	cfg       *config.Config
	directory *accounts.Directory

	started *config.Config // what stays as it is until the next start
	log     *slog.Logger
	reloads *prometheus.CounterVec
	scored  func(time.Duration, *content.Fault)
	logs    func(config.Log)
	desk    *desk.Desk
	told    *notices
	keeper  *hold.Keeper
}

func (l *liveConfig) close() { l.directory.Close() }

// account looks up a login as each message does.
func (l *liveConfig) account(ctx context.Context, login string) error {
	_, err := l.engine.Load().AccountOf(ctx, login)
	return err
}

// reload brings a configuration into force that was read again, and its accounts.
// With a fault the old ones stay. Listeners, session caps and the store are not
// touched: they need a restart.
func (l *liveConfig) reload(next *config.Config, faults []config.Fault) {
	directory, err := l.prepare(next, faults)
	if err != nil {
		countReload(l.reloads, err)
		l.log.Error("reload refused, the old configuration stays in force", "error", err)
		return
	}
	chaos.Point("reload")
	l.engine.Store(l.engine.Load().Next(ruleSettings(next, l.desk, l.told, l.keeper, l.log), directory))
	l.keeper.Configure(holdSettings(next))
	l.logs(next.Log)
	l.directory.Close()
	warnRestart(l.log, l.started, next)
	l.cfg, l.directory = next, directory
	logNotes(l.log, next)
	l.log.Info("configuration read", "config", next.File)
	countReload(l.reloads, nil) // last: who waits for it finds all of it done
}

// prepare is the part of a reload that can fail; it logs every fault.
func (l *liveConfig) prepare(next *config.Config, faults []config.Fault) (*accounts.Directory, error) {
	for _, f := range faults {
		l.log.Error("configuration", "fault", f.Error())
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("%d faults", len(faults))
	}
	directory, err := openAccounts(next, l.log, l.reloads)
	if err != nil {
		return nil, err
	}
	set, err := noticeSettings(next)
	if err == nil {
		err = joinContent(next, l.log, l.scored)
	}
	if err == nil {
		err = l.told.Configure(set)
	}
	if err != nil {
		directory.Close()
		return nil, err
	}
	return directory, nil
}

// warnRestart names the tables that differ from what the daemon runs on and that
// a reload cannot bring into force.
func warnRestart(log *slog.Logger, started, now *config.Config) {
	old := *started
	old.Milter.ShutdownTimeout = now.Milter.ShutdownTimeout // looked at when it stops
	for table, same := range map[string]bool{
		"milter": reflect.DeepEqual(old.Milter, now.Milter), "state": old.State == now.State,
		"admin": old.Admin == now.Admin, "hold": old.Hold.Agent == now.Hold.Agent, "web": reflect.DeepEqual(old.Web, now.Web),
	} {
		if !same {
			log.Warn("configuration", "note", "["+table+"] has changed; that takes effect at the next start")
		}
	}
}

// openAccounts reads the accounts of the configuration and of the map file, and
// follows the map file.
func openAccounts(cfg *config.Config, log *slog.Logger, reloads *prometheus.CounterVec) (*accounts.Directory, error) {
	return accounts.Open(cfg.Accounts.File, cfg.Accounts.Read, func(n int, err error) {
		if errors.Is(err, accounts.ErrNotWatched) {
			log.Warn("accounts: the file is not watched", "file", cfg.Accounts.File, "error", err)
			return
		}
		countReload(reloads, err)
		if err != nil {
			log.Error("accounts refused, the old ones stay", "file", cfg.Accounts.File, "error", err)
			return
		}
		log.Info("accounts read", "accounts", n)
	})
}

func countReload(reloads *prometheus.CounterVec, err error) {
	if err != nil {
		reloads.WithLabelValues("refused").Inc()
		return
	}
	reloads.WithLabelValues("ok").Inc()
}

func newReloads(reg prometheus.Registerer) *prometheus.CounterVec {
	reloads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "o2n_milter_config_reloads_total",
		Help: "Readings of changed configuration and account files, by result.",
	}, []string{"result"})
	reg.MustRegister(reloads)
	reloads.WithLabelValues("ok")
	reloads.WithLabelValues("refused")
	return reloads
}
