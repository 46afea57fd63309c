package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"o2n-milter/accounts"
	"o2n-milter/config"
	"o2n-milter/milter"
	"o2n-milter/notify"
	"o2n-milter/rules"
	"o2n-milter/web"
	"o2n-milter/web/desk"
)

func (a *app) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: "Run the daemon in the foreground until SIGTERM or SIGINT. SIGHUP reads the configuration again;\n" +
			"when it has a fault, every fault is logged and the old rules stay in force.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.load(cmd)
			if err != nil {
				return err
			}
			return a.serve(cmd, cfg)
		},
	}
}

// serve wires everything: log, store, accounts, engine, milter listeners, HTTP.
// What was opened is closed in reverse order.
func (a *app) serve(cmd *cobra.Command, cfg *config.Config) error {
	log := slog.New(slog.NewTextHandler(a.err, nil))
	slog.SetDefault(log) // libraries that use the log package end up here too
	logNotes(log, cfg)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)

	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reloads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "o2n_milter_config_reloads_total",
		Help: "Readings of changed configuration and account files, by result.",
	}, []string{"result"})
	reg.MustRegister(reloads)
	reloads.WithLabelValues("ok")
	reloads.WithLabelValues("refused")

	clock := newHostClock(log)
	web.RegisterClock(reg, clock.Offset)
	store, err := openStore(cfg.State, log, reg)
	if err != nil {
		return err
	}
	defer closeStore(store, log)
	web.RegisterState(reg, store, clock.Now)

	directory, err := openAccounts(cfg, log, reloads)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	defer func() { directory.Close() }()

	var engine atomic.Pointer[rules.Engine]
	messages := milter.NewLog(log, reg)
	counts, stopStats := startStats(store, log, clock.Now)
	defer stopStats()
	d := newDesk(cfg, store, &engine, log, clock)
	d.Stats, d.Sessions = counts, messages.Open
	told, stopNotices, err := startNotices(cfg, store, d, log, clock)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	defer stopNotices()
	web.RegisterNotices(reg, told.Stats)
	d.Changed = func(e desk.Event) {
		told.tell(notify.Event{What: e.What, At: clock.Now(), Block: e.Block, Request: e.Request})
	}
	engine.Store(rules.New(ruleSettings(cfg, d, told, log), directory, store, clock.Now))

	server := &milter.Server{
		Judge:        func() milter.Judge { return engine.Load() },
		Recorder:     recorder{messages, counts, told.tell},
		Log:          log,
		MaxSessions:  cfg.Milter.MaxSessions,
		MaxPerClient: cfg.Milter.MaxPerClient,
	}
	sockets, err := openSockets(cfg)
	if err != nil {
		return err
	}
	failed := make(chan error, len(sockets.milter)+3)
	for _, ln := range sockets.milter {
		log.Info("listening", "for", "milter", "on", ln.Addr().String())
		go func() { failed <- server.Serve(ln) }()
	}
	admin := &web.Admin{Desk: d}
	operators, customers := pages(cfg, d, log)
	all, public := withPages(cfg, web.Public(store, reg, clock.Now), operators, customers)
	for _, h := range []struct {
		what    string
		ln      net.Listener
		handler http.Handler
	}{
		{"admin", sockets.admin, admin.Handler()},
		{"web", sockets.web, all},
		{"customers", sockets.public, public},
	} {
		if h.ln == nil {
			continue
		}
		log.Info("listening", "for", h.what, "on", h.ln.Addr().String())
		srv := web.NewServer(h.handler)
		defer srv.Close()
		go func() { failed <- srv.Serve(h.ln) }()
	}
	log.Info("ready", "version", version, "config", cfg.File, "store", cfg.State.Backend)

	started := cfg
	for {
		select {
		case err := <-failed:
			stop(server, cfg, log)
			return fmt.Errorf("serve: %w", err)
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				next, accs, err := a.reload(cmd, log, reloads, told)
				if err != nil {
					countReload(reloads, err)
					log.Error("reload refused, the old configuration stays in force", "error", err)
					continue
				}
				engine.Store(engine.Load().Next(ruleSettings(next, d, told, log), accs))
				directory.Close()
				warnRestart(log, started, next)
				cfg, directory = next, accs
				logNotes(log, cfg)
				log.Info("configuration read", "config", cfg.File)
				countReload(reloads, nil) // last: who waits for it finds all of it done
				continue
			}
			log.Info("stopping", "signal", sig.String())
			stop(server, cfg, log)
			return nil
		}
	}
}

// stop lets messages in hand finish.
func stop(server *milter.Server, cfg *config.Config, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), cfg.Milter.ShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		log.Warn("stopping", "error", err)
	}
}

func logNotes(log *slog.Logger, cfg *config.Config) {
	for _, n := range cfg.Notes {
		log.Warn("configuration", "note", n.Error())
	}
}

// warnRestart names the tables that differ from what the daemon runs on and that
// a reload cannot bring into force.
func warnRestart(log *slog.Logger, started, now *config.Config) {
	old := *started
	old.Milter.ShutdownTimeout = now.Milter.ShutdownTimeout // looked at when it stops
	for table, same := range map[string]bool{
		"milter": reflect.DeepEqual(old.Milter, now.Milter), "state": old.State == now.State,
		"admin": old.Admin == now.Admin, "web": reflect.DeepEqual(old.Web, now.Web),
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

// sockets are the listeners by purpose; web and public may be nil.
type sockets struct {
	milter             []net.Listener
	admin, web, public net.Listener
}

// openSockets takes what systemd hands over, by FileDescriptorName= (admin, web,
// public, anything else is a milter socket), and opens what the configuration adds.
func openSockets(cfg *config.Config) (*sockets, error) {
	var s sockets
	named, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("sockets of systemd: %w", err)
	}
	for name, list := range named {
		for _, ln := range list {
			switch {
			case ln == nil:
			case strings.HasPrefix(name, "admin"):
				s.admin = ln
			case strings.HasPrefix(name, "web"):
				s.web = ln
			case strings.HasPrefix(name, "public"):
				s.public = ln
			default:
				s.milter = append(s.milter, ln)
			}
		}
	}
	// With sockets handed over, the default address is not opened beside them.
	file, _ := cfg.Rules.Origin("milter.listen")
	if file != "" || len(s.milter) == 0 {
		for _, addr := range cfg.Milter.Listen {
			if s.holds(addr) {
				continue
			}
			ln, err := milter.Listen(addr, cfg.Milter.SocketMode, cfg.Milter.SocketGroup)
			if err != nil {
				return nil, fmt.Errorf("milter.listen: %w", err)
			}
			s.milter = append(s.milter, ln)
		}
	}
	if len(s.milter) == 0 {
		return nil, exit(exitConfig, "milter.listen is empty and systemd handed no milter socket over; want an address to listen on")
	}
	if s.admin == nil {
		if s.admin, err = milter.Listen("unix:"+cfg.Admin.Socket, cfg.Admin.Mode, cfg.Admin.Group); err != nil {
			return nil, fmt.Errorf("admin.socket: %w", err)
		}
	}
	if s.web == nil && cfg.Web.Listen != "" {
		if s.web, err = net.Listen("tcp", cfg.Web.Listen); err != nil {
			return nil, fmt.Errorf("web.listen: %w", err)
		}
	}
	if s.public == nil && cfg.Web.PublicListen != "" {
		if s.public, err = net.Listen("tcp", cfg.Web.PublicListen); err != nil {
			return nil, fmt.Errorf("web.public_listen: %w", err)
		}
	}
	return &s, nil
}

// holds says whether a socket for the address was handed over already.
func (s *sockets) holds(addr string) bool {
	return slices.ContainsFunc(s.milter, func(ln net.Listener) bool {
		return ln.Addr().Network()+":"+ln.Addr().String() == addr
	})
}

// reload reads the configuration and the accounts again. With an error, of which
// every fault has been logged, the old ones stay. Listeners, session caps and the
// store are not touched: they need a restart.
func (a *app) reload(cmd *cobra.Command, log *slog.Logger, reloads *prometheus.CounterVec, told *notices) (*config.Config, *accounts.Directory, error) {
	cfg, faults := config.Load(a.configFile, cmd.Flags().Changed("config"))
	for _, f := range faults {
		log.Error("configuration", "fault", f.Error())
	}
	if len(faults) > 0 {
		return nil, nil, fmt.Errorf("%d faults", len(faults))
	}
	directory, err := openAccounts(cfg, log, reloads)
	if err != nil {
		return nil, nil, err
	}
	set, err := noticeSettings(cfg)
	if err == nil {
		err = told.Configure(set)
	}
	if err != nil {
		directory.Close()
		return nil, nil, err
	}
	return cfg, directory, nil
}
