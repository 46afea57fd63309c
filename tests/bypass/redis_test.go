package bypass

import (
	"errors"
	"slices"
	"testing"
	"time"

	"o2n-milter/rules"
	"o2n-milter/state"
	"o2n-milter/state/local"
	"o2n-milter/state/redisdb"
	"o2n-milter/tests/campaign"
	"o2n-milter/tests/mta"
)

// redisServer is one of the test's own.
type redisServer struct {
	testing.TB
	*mta.Redis
}

func startRedis(t testing.TB) redisServer {
	t.Helper()
	return redisServer{t, mta.NewRedis(t, "--appendfsync", "always")}
}

// open is the store of one host, which counts by the test's clock.
func (s redisServer) open() state.Store {
	s.Helper()
	store, err := redisdb.Open(redisdb.Options{URL: "unix://" + s.Socket, HostTime: true, Budget: 3 * time.Second, Log: quiet})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := store.Close(); err != nil {
			s.Error(err)
		}
	})
	return store
}

// Two hosts on one Redis are one, whichever of them a spammer's sessions are on.
func TestWindowsOnRedis(t *testing.T) {
	g := forge{campaign.Rand(t)}
	count := campaign.Counting(t, "windows", "mail against limits on two hosts that share a Redis")
	for range campaign.Pick(1, 30) {
		server := startRedis(t) // of the game's own: hosts put back what a server has lost
		gm := newGame(t, g, count, server.open(), server.open())
		gm.parallel = true
		limits := slices.Clone(gm.settings.Limits)
		for i := range limits { // shorter ones Redis may forget before a slow test is done with them
			limits[i].Window = max(limits[i].Window, time.Minute)
		}
		gm.reload(limits)
		gm.play(campaign.Pick(80, 150))
	}
}

// A Redis that dies leaves each of two hosts half of a limit, and what it had counted is
// there when it comes back.
func TestRedisAway(t *testing.T) {
	count := campaign.Counting(t, "windows", "mail to two hosts whose Redis dies")
	server := startRedis(t)
	first, second := server.open(), server.open()
	p := newProvider(t, func(s *rules.Settings) {
		s.Limits = []rules.Limit{{Name: "hour", Subject: "account", Unit: rules.Messages, Max: 11, Window: time.Hour, Action: rules.Tempfail}}
		s.Blocking.Automatic = rules.Off
	}, local.New(first, quiet), local.New(second, quiet))
	fill := func(host, want int, when string) {
		t.Helper()
		n := 0
		for n <= 20 && passes(p.engines[host].Decide(t.Context(), ofAlice())) {
			n++
		}
		if n != want {
			count.Failed()
			t.Errorf("%s host %d let %d through; want %d", when, host, n, want)
		}
		count.Held()
	}
	for n := range 4 {
		if v := p.engines[n%2].Decide(t.Context(), ofAlice()); !passes(v) {
			t.Fatalf("%s by %s: %v", v.Action, v.Rule, v.Err)
		}
	}
	server.Kill()
	fill(0, 6, "without Redis")
	fill(1, 6, "without Redis")
	server.Start(t)
	for _, s := range []state.Store{first, second} {
		mta.Poll(t, "the store is back", func() bool {
			_, err := s.Take(t.Context(), p.at, state.Ask{Dry: true, Subjects: []string{"account:x"}})
			if err != nil && !errors.Is(err, state.ErrUnavailable) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	fill(1, 7, "with Redis again")
	fill(0, 0, "with Redis again")
	p.at = p.at.Add(61*time.Minute + time.Second)
	fill(0, 11, "an hour later")
}

// ofAlice is a mail of hers.
func ofAlice() *rules.Mail {
	a := &attempt{mail: &rules.Mail{Host: "mx.example", Login: login, Sender: login, QueueID: "Q1", Size: 1000, CanHold: true}}
	a.mail.Recipients = []rules.Recipient{{Address: victim}}
	a.from(login)
	return a.mail
}
