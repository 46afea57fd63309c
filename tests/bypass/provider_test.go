package bypass

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/config"
	"o2n-milter/rules"
	"o2n-milter/state"
)

// providerFile is a provider with three customers, of whom one has two mailboxes, one
// a site and one no customer number. Web servers relay from 198.51.100.0/24.
const providerFile = `
[accounts]
hosts = ["web1.example"]
networks = ["198.51.100.0/24"]
[account."alice@client-a.example"]
customer = "C-1001"
plan = "mailbox"
domains = ["client-a.example"]
[account."amy@client-a.example"]
customer = "C-1001"
plan = "pro"
domains = ["client-a.example"]
[account."bob@client-b.example"]
domains = ["client-b.example"]
[account."shop@shop.example"]
customer = "C-1003"
domains = ["shop.example"]
scripts = ["www-data@web1.example"]
ips = ["198.51.100.7"]
`

// provider is one or two daemons' engines on one store or on two that share a server,
// with a clock that only the test moves.
type provider struct {
	testing.TB
	settings rules.Settings
	accounts accounts.Source
	engines  []*rules.Engine
	stores   []state.Store

	// at is the true time. The engines' clock is behind it by what the host's clock has
	// been set back at restarts.
	at    time.Time
	ahead time.Duration

	mu   sync.Mutex
	held []state.Held // on hold, in the MTA's queue
	real time.Time    // when the stores were opened, by the real clock
}

// loadProvider reads the shipped rules over providerFile. Lists of recipients have no
// bound here, so that limits have something to count.
func loadProvider(t testing.TB) (rules.Settings, accounts.Source) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "o2n-milter.toml")
	if err := os.WriteFile(file, []byte(providerFile), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, faults := config.Load(file, true)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	list, err := cfg.Accounts.Read()
	if err != nil {
		t.Fatal(err)
	}
	table, clashes := accounts.NewTable(list)
	if len(clashes) > 0 {
		t.Fatal(clashes)
	}
	set := cfg.Rules
	set.MaxEnvelope, set.MaxVisible, set.MaxDuplicates = 10_000, 10_000, 10_000
	return set, table
}

// newProvider has an engine on each of the stores, and two on a single one.
func newProvider(t testing.TB, change func(*rules.Settings), stores ...state.Store) *provider {
	t.Helper()
	set, source := loadProvider(t)
	p := &provider{TB: t, settings: set, accounts: source, stores: stores, at: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), real: time.Now()}
	p.settings.Hold = p.hold
	change(&p.settings)
	for n := range 2 {
		p.engines = append(p.engines, rules.New(p.settings, source, stores[n%len(stores)], p.now))
	}
	return p
}

func (p *provider) now() time.Time { return p.at.Add(-p.ahead) }

func (p *provider) hold(_ context.Context, _ time.Time, h state.Held) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = append(p.held, h)
	return nil
}

// reload gives all engines other limits, as SIGHUP does.
func (p *provider) reload(limits []rules.Limit) {
	p.settings.Limits = limits
	for i, e := range p.engines {
		p.engines[i] = e.Next(p.settings, p.accounts)
	}
}

// restart closes the only store and opens it again. A store counts the time in
// between by the host's clock, which has not moved as the test's has: the true time
// goes on by what may have passed, and the engines tell the host's.
func (p *provider) restart(open func() state.Store) (passed time.Duration) {
	p.Helper()
	// The store has to know the time that it is closed at: in life that passes by itself.
	tick := state.Charge{Window: state.Window{Limit: "tick", Subject: "test", Length: time.Second, Max: 1}, CountOnly: true}
	if _, err := p.stores[0].Take(p.Context(), p.now(), state.Ask{Charges: []state.Charge{tick}}); err != nil {
		p.Fatal(err)
	}
	if err := p.stores[0].Close(); err != nil {
		p.Fatal(err)
	}
	p.stores[0] = open()
	passed = time.Since(p.real)
	p.real = time.Now()
	p.at = p.at.Add(passed)
	p.ahead = p.at.Sub(p.real.UTC())
	for i := range p.engines {
		p.engines[i] = rules.New(p.settings, p.accounts, p.stores[0], p.now)
	}
	return passed
}

var quiet = slog.New(slog.DiscardHandler)
