package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"o2n-milter/config"
	"o2n-milter/hold"
	"o2n-milter/rules"
	"o2n-milter/web/console"
	"o2n-milter/web/customer"
	"o2n-milter/web/desk"
	"o2n-milter/web/page"
)

// pages are the handlers of people's pages: /admin/ for operators, /c/ for
// customers. Key signs their forms.
func pages(cfg *config.Config, d *desk.Desk, key []byte, log *slog.Logger) (operators, customers http.Handler) {
	kit := page.New(page.Options{
		PublicURL: publicURL(cfg), Key: key, Proxies: cfg.Web.TrustedProxy, Zone: time.Local, Log: log, Now: d.Now,
		Language: func() string { return d.Judge.Settings().Language },
	})
	operators = console.Handler(console.Options{
		Desk: d, Page: kit, Now: d.Now, TrustedProxies: cfg.Web.TrustedProxy, UserHeader: cfg.Web.ProxyUserHeader,
	})
	return operators, customer.Handler(d, kit)
}

// withPages puts people's pages before what answers machines. Customers have a
// listener of their own where web.public_listen is set.
func withPages(cfg *config.Config, machines, operators, customers http.Handler) (web, public http.Handler) {
	mux := http.NewServeMux()
	mux.Handle("/", machines)
	mux.Handle("/admin/", operators)
	onlyCustomers := http.NewServeMux()
	onlyCustomers.Handle("/c/", customers)
	if cfg.Web.PublicListen == "" {
		mux.Handle("/c/", customers)
	}
	return mux, onlyCustomers
}

// ruleSettings are the rules of the configuration with what only the running daemon
// knows.
func ruleSettings(cfg *config.Config, d *desk.Desk, n *notices, k *hold.Keeper, log *slog.Logger) rules.Settings {
	set := cfg.Rules
	set.Own = ownAddresses(log)
	set.Link = replyLink(d)
	set.Ours, set.Hold = n.Ours, k.Put
	return set
}

// ownAddresses are this host's: everybody's mail may come from there, so they are
// never blocked automatically.
func ownAddresses(log *slog.Logger) []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		log.Warn("this host's own addresses are not known", "error", err)
	}
	var own []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr().Unmap())
		}
	}
	return own
}
