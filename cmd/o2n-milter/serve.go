package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"o2n-milter/config"
	"o2n-milter/milter"
	"o2n-milter/milter/shelf"
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

// serve wires everything: log, store, accounts, desk, engine, milter listeners, HTTP.
// What was opened is closed in reverse order.
func (a *app) serve(cmd *cobra.Command, cfg *config.Config) error {
	out := openLog(a.err, cfg.Log)
	defer out.close()
	log := out.Logger
	slog.SetDefault(log) // libraries that use the log package end up here too
	logNotes(log, cfg)
	// A signal that finds no room is lost: reloads, of which one that waits is enough, must
	// not keep out the end.
	ends, hangups := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(ends)
	defer signal.Stop(hangups)
	host, err := os.Hostname()
	if err != nil {
		return exit(exitConfig, "host name: %w", err)
	}

	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	out.register(reg)
	reloads := newReloads(reg)
	clock := newHostClock(log)
	web.RegisterClock(reg, clock.Offset)
	systemd := manager{log, out.loops}
	opened := systemd.opening()
	store, err := openStore(cfg.State, out.loops, reg)
	opened()
	if err != nil {
		return err
	}
	defer closeStore(store, log)
	web.RegisterState(reg, store, clock.Now)
	directory, err := openAccounts(cfg, log, reloads)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	live := &liveConfig{started: cfg, cfg: cfg, directory: directory, log: log, reloads: reloads, scored: web.RegisterContent(reg)}
	defer live.close()
	if err := joinContent(cfg, log, live.scored); err != nil {
		return &exitError{exitConfig, err}
	}

	messages := milter.NewLog(log, reg)
	live.logs = func(c config.Log) {
		out.configure(c)
		messages.OnlyRefused(c.Refused)
	}
	live.logs(cfg.Log)
	counts, stopStats := startStats(out.loops, store, host, cfg.State.Retention, clock.Now)
	defer stopStats()
	links, key := openLinks(cfg.Web.LinkKeyFile, log)
	d := newDesk(cfg, store, &live.engine, links, log, clock)
	d.Stats, d.Sessions, d.Trouble = counts, messages.Open, out.loops.trouble
	told, stopNotices, err := startNotices(out.loops, cfg, store, host, d, clock.Now)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	defer stopNotices()
	web.RegisterNotices(reg, told.Stats)
	d.Changed = func(e desk.Event) {
		told.tell(notify.Event{What: e.What, At: clock.Now(), Block: e.Block, Request: e.Request})
	}
	defer out.loops.start(context.Background(), "desk", d.Run)()
	keeper := newKeeper(cfg, store, live, told, log)
	web.RegisterHold(reg, keeper.Stats, clock.Now)
	d.HeldChanged, d.HoldAway, d.HeldUnknown = keeper.Wake, keeper.Away, func() []desk.UnknownHeld { return unknownHeld(keeper) }
	live.desk, live.told, live.keeper = d, told, keeper
	live.engine.Store(rules.New(ruleSettings(cfg, d, told, keeper, log), directory, store, clock.Now))
	defer out.loops.start(context.Background(), "held", func(ctx context.Context) { keeper.Run(ctx, clock.Now) })()

	alive := &pulse{store: store, account: live.account, sessions: messages.Open, now: clock.Now, log: log, trouble: out.loops.trouble}
	server := &milter.Server{
		Judge:        func() milter.Judge { return live.engine.Load() },
		Recorder:     recorder{messages, counts, told.tell, &alive.judged},
		Log:          log,
		MaxSessions:  cfg.Milter.MaxSessions,
		MaxPerClient: cfg.Milter.MaxPerClient,
	}
	d.Wiring = wiring(server, clock.Now())
	sockets, err := openSockets(cfg, log)
	if err != nil {
		return err
	}
	failed := make(chan error, len(sockets.milter)+len(sockets.admin)+len(sockets.web)+len(sockets.public)+3)
	alive.dead = sync.OnceFunc(func() { failed <- errStoreDead })
	server.Shelf = shelf.Open(sockets.sessions, milter.TapeFormat, log)
	server.Resume()
	for _, ln := range sockets.milter {
		log.Info("listening", "for", "milter", "on", ln.Addr().String())
		go func() { failed <- server.Serve(ln) }()
	}
	admin := &web.Admin{Desk: d}
	operators, customers := pages(cfg, d, key, log)
	all, public := withPages(cfg, web.Public(store, reg, clock.Now), operators, customers)
	serving, stopOpening := context.WithCancel(context.Background())
	defer stopOpening()
	for _, h := range []struct {
		what      string
		lns       []net.Listener
		key, addr string // more, for pages
		handler   http.Handler
	}{
		{"admin", sockets.admin, "", "", admin.Handler()},
		{"web", sockets.web, "web.listen", cfg.Web.Listen, all},
		{"customers", sockets.public, "web.public_listen", cfg.Web.PublicListen, public},
	} {
		srv := web.NewServer(h.handler)
		defer closePages(srv, log)
		serve := func(ln net.Listener) {
			log.Info("listening", "for", h.what, "on", ln.Addr().String())
			go func() { failed <- srv.Serve(ln) }()
		}
		for _, ln := range h.lns {
			serve(ln)
		}
		openPages(serving, cfg, h.key, h.addr, h.lns, log, serve)
	}
	log.Info("ready", "version", version, "config", cfg.File, "store", cfg.State.Backend)
	defer alive.start(systemd)()

	for {
		select {
		case err := <-failed:
			stop(server, live.cfg, systemd)
			return fmt.Errorf("serve: %w", err)
		case <-hangups:
			systemd.reloading(func() { live.reload(readConfig(a.configFile, cmd.Flags().Changed("config"))) })
		case sig := <-ends:
			log.Info("stopping", "signal", sig.String())
			stop(server, live.cfg, systemd)
			return nil
		}
	}
}

// pagePatience is for requests in hand when the daemon ends: milter sessions have ended by
// then, and wait for the next process.
const pagePatience = time.Second

// closePages lets requests in hand finish, while there is a store to ask.
func closePages(srv *http.Server, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), pagePatience)
	defer cancel()
	defer srv.Close()
	if err := srv.Shutdown(ctx); err != nil {
		log.Info("requests that take longer are cut off", "after", pagePatience)
	}
}

// stop lets messages in hand finish.
func stop(server *milter.Server, cfg *config.Config, m manager) {
	m.stopping(cfg.Milter.ShutdownTimeout + storePatience + closingTime)
	ctx, cancel := context.WithTimeout(context.Background(), cfg.Milter.ShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		m.log.Warn("stopping", "error", err)
	}
}

func logNotes(log *slog.Logger, cfg *config.Config) {
	for _, n := range cfg.Notes {
		log.Warn("configuration", "note", n.Error())
	}
	if cfg.Rules.AllShadow {
		log.Warn("everything is in shadow ([shadow] all): no mail is refused, but by blocks that an operator made")
	}
}
