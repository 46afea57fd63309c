package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"o2n-milter/config"
	"o2n-milter/doctor"
	"o2n-milter/hold"
	"o2n-milter/milter"
	"o2n-milter/state/redisdb"
	"o2n-milter/web/desk"
)

// doctorTime bounds a whole look: monitoring gives up sooner or later.
const doctorTime = 30 * time.Second

// partOf is what whoever is asked may take of all that time: one that hangs must not
// make all the others look broken.
func partOf(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(doctorTime)
	}
	return context.WithTimeout(ctx, time.Until(end)/6)
}

func (a *app) doctorCommand() *cobra.Command {
	var mta, dir string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with the installation",
		Long: "Look at the configuration, the rights of files and sockets, the store, the clock, how Postfix or Sendmail is wired\n" +
			"to the filter, and what the traffic so far says of it. Each finding has a level (ok, note, warning, fault), a reason and\n" +
			"what to do. Exit code 0 when there is nothing worse than a note, 1 otherwise, also when the daemon cannot be reached.\n" +
			"It changes nothing, and says what it may not look at: run it as root.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"auto", "postfix", "sendmail"}, mta) {
				return exit(exitUsage, "--mta %q; want postfix, sendmail or auto", mta)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), doctorTime)
			defer cancel()
			return a.printFindings(a.examine(ctx, cmd, mta, dir))
		},
	}
	c.Flags().StringVar(&mta, "mta", "auto", "postfix, sendmail, or auto: what is configured here")
	c.Flags().StringVar(&dir, "config-directory", "", "`DIR` of another Postfix instance, or of Sendmail's .cf files (default: hold.config_directory, else the MTA's own)")
	return c
}

// examine looks at everything.
func (a *app) examine(ctx context.Context, cmd *cobra.Command, mta, dir string) []doctor.Finding {
	cfg, faults, whole := config.Inspect(a.configFile, cmd.Flags().Changed("config"))
	list := append(doctor.CheckConfig(cfg, faults), doctor.CheckClock()...)
	if !whole {
		return append(list, doctor.CheckNothing()...)
	}
	list = append(list, doctor.CheckFiles(cfg, faults)...)
	list = append(list, doctor.CheckRules(&cfg.Rules)...)
	if cfg.State.Backend == "redis" {
		list = append(list, a.examineRedis(ctx, cfg)...)
	}
	cl := newClient(cfg.Admin.Socket)
	part, cancel := partOf(ctx)
	defer cancel()
	end, _ := part.Deadline()
	cl.http.Timeout = time.Until(end)
	var status desk.Status
	err := cl.call("/v1/status", nil, &status)
	want := doctor.Daemon{Version: version, Backend: cfg.State.Backend}
	if len(faults) == 0 { // else the daemon goes on with what it read before, which is told
		want.Config = cfg.Rules.Version
	}
	list = append(list, doctor.CheckDaemon(doctor.Daemon{
		Version: status.Version, Backend: status.Backend, Config: status.Configuration, Store: status.Reason, Clock: status.Clock, Hold: status.Hold,
	}, err, want)...)
	var traffic desk.Wiring
	if err == nil {
		err = cl.call("/v1/wiring", nil, &traffic)
	}
	ours := listening(cfg, traffic)
	list = append(list, a.examineSockets(ctx, cfg, ours, err == nil)...)
	if mta == "auto" {
		mta = cfg.Hold.MTA
	}
	list = append(list, doctor.CheckMTAs(ctx, mta, cmp.Or(dir, cfg.Hold.ConfigDirectory), ours)...)
	if err == nil {
		list = append(list, doctor.CheckTraffic(socketTraffic(traffic), traffic.Since, time.Now())...)
	}
	return list
}

func (a *app) examineRedis(ctx context.Context, cfg *config.Config) []doctor.Finding {
	ctx, cancel := partOf(ctx)
	defer cancel()
	var s redisdb.Server
	o, err := redisOptions(cfg.State)
	if err == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil)) // what it would say is a finding
		s, err = redisdb.Inspect(ctx, o, time.Now)
	}
	onFailure := cfg.Rules.Actions["store.unavailable"].String()
	if cfg.State.Local {
		onFailure = "local"
	}
	return doctor.CheckRedis(doctor.Redis(s), err, onFailure)
}

func (a *app) examineSockets(ctx context.Context, cfg *config.Config, ours []doctor.Address, up bool) []doctor.Finding {
	list := doctor.CheckMilters(ctx, ours)
	if file, _ := cfg.Rules.Origin("milter.listen"); up && file != "" { // the default gives way to handed over sockets
		list = append(list, doctor.CheckListening(addresses(cfg.Milter.Listen), ours)...)
	}
	if up { // else the daemon is a finding already
		for _, w := range []struct{ key, addr string }{{"web.listen", cfg.Web.Listen}, {"web.public_listen", cfg.Web.PublicListen}} {
			if w.addr != "" {
				list = append(list, doctor.CheckTCP(ctx, w.key, w.addr)...)
			}
		}
	}
	list = append(list, doctor.CheckPrivate("admin.socket", cfg.Admin.Socket)...)
	list = append(list, doctor.CheckPrivate("hold.agent", cfg.Hold.Agent)...)
	part, cancel := partOf(ctx)
	defer cancel()
	_, err := hold.NewAgent(cfg.Hold.Agent).Host(part)
	return append(list, doctor.CheckAgent(cfg.Hold.Agent, err, doctor.Holds(&cfg.Rules))...)
}

// listening are the addresses of the filter: those that the daemon has told, which
// systemd may have handed over, else those of the configuration.
func listening(cfg *config.Config, traffic desk.Wiring) []doctor.Address {
	var texts []string
	for _, s := range traffic.Sockets {
		texts = append(texts, s.On)
	}
	if len(texts) == 0 {
		texts = cfg.Milter.Listen
	}
	return addresses(texts)
}

// addresses leaves out what is none: that is a fault of the configuration, or port 0.
func addresses(texts []string) []doctor.Address {
	var list []doctor.Address
	for _, text := range texts {
		if addr, err := doctor.ParseListen(text); err == nil {
			list = append(list, addr)
		}
	}
	return list
}

func socketTraffic(w desk.Wiring) []doctor.Traffic {
	var list []doctor.Traffic
	for _, s := range w.Sockets {
		list = append(list, doctor.Traffic(s))
	}
	return list
}

// wiring tells the desk what came through the milter sockets.
func wiring(server *milter.Server, since time.Time) func() desk.Wiring {
	return func() desk.Wiring {
		w := desk.Wiring{Since: since.UTC(), Sockets: []desk.SocketTraffic{}}
		for _, t := range server.Traffic() {
			w.Sockets = append(w.Sockets, desk.SocketTraffic(t))
		}
		return w
	}
}

// printFindings gives exit code 1 when something is worse than a note.
func (a *app) printFindings(list []doctor.Finding) error {
	worst := doctor.Worst(list)
	if a.json {
		if err := a.printJSON(map[string]any{"worst": worst, "findings": list}); err != nil {
			return err
		}
	} else {
		for _, f := range list {
			a.printFinding(f)
		}
	}
	if worst > doctor.Note {
		return &exitError{exitNo, errors.New("doctor: the worst finding is a " + worst.String())}
	}
	return nil
}

func (a *app) printFinding(f doctor.Finding) {
	fmt.Fprintf(a.out, "%-8s %-9s %s\n", f.Level, f.Area, clean(f.What))
	for _, more := range []struct{ name, text string }{{"why", f.Why}, {"do", f.Do}} {
		for i, line := range strings.Split(more.text, "\n") {
			if i > 0 {
				more.name = ""
			}
			if line != "" {
				fmt.Fprintf(a.out, "         %-9s %s\n", more.name, clean(line))
			}
		}
	}
}
