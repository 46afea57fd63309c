package redisdb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"o2n-milter/state"
)

// letter is of one campaign, up to 3 bits from any other.
func letter(subject string, most int64, members ...string) state.Letter {
	return state.Letter{
		Subject: subject, Sketch: state.Sketch{1 << 63, 0, 0, 1}, Near: 3, Max: most, Members: members, Remember: time.Hour,
	}
}

// sent wants one letter's answer.
func sentTo(t testing.TB, s state.Store, l state.Letter, known, fresh int64, full bool) {
	t.Helper()
	a, err := s.Take(t.Context(), time.Now(), state.Ask{Letters: []state.Letter{l}})
	want := state.Campaign{ID: state.CampaignID(l.Subject, letter("", 0).Sketch), Known: known, New: fresh, Full: full}
	if err != nil || len(a.Campaigns) != 1 || a.Campaigns[0] != want {
		t.Fatalf("campaigns %+v, error %v; want %+v", a.Campaigns, err, want)
	}
}

// 200 recipients are 200, for 16 sessions on two hosts whose clocks are 5 s apart.
func TestOneCampaignOfTwoHosts(t *testing.T) {
	url := common(t).url()
	hosts := []*Store{open(t, Options{URL: url}), open(t, Options{URL: url})}
	const sessions, tries, places = 16, 20, 200
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range sessions {
		wg.Go(func() {
			for n := range tries {
				l := letter("account:a", places, fmt.Sprint("r", i, "-", n))
				l.Sketch[1] ^= uint64(i & 1)
				l.Near = 4
				now := time.Now().Add(time.Duration(i%2) * -5 * time.Second)
				a, err := hosts[i%2].Take(context.Background(), now, state.Ask{Letters: []state.Letter{l}})
				switch {
				case err != nil:
					t.Error(err)
				case !a.Campaigns[0].Full:
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	wants(t, "passed", passed.Load(), places)
}

func TestCampaignKeys(t *testing.T) {
	srv := common(t)
	s := open(t, Options{URL: srv.url()})
	sentTo(t, s, letter("account:{a}/b", 5, "r1", "r2"), 0, 2, false)
	const sketch = "8000000000000000" + "0000000000000000" + "0000000000000000" + "0000000000000001"
	list, campaign := "o2n:campaigns/{account:%7Ba%7D%2Fb}", "o2n:campaign/"+sketch+"/{account:%7Ba%7D%2Fb}"
	wants(t, "campaigns", srv.do(t, "ZRANGE", list, 0, -1), []any{sketch})
	wants(t, "recipients", srv.do(t, "ZCARD", campaign), 2)
	for _, key := range []string{list, campaign} {
		if got := time.Duration(srv.do(t, "PTTL", key).(int64)) * time.Millisecond; got > 2*time.Hour || got < 119*time.Minute {
			t.Errorf("%s: lives for %s; want 2 hours", key, got)
		}
	}
	// A letter to the same people writes nothing.
	before := srv.do(t, "ZRANGE", campaign, 0, -1, "WITHSCORES")
	srv.do(t, "PERSIST", list)
	srv.do(t, "PERSIST", campaign)
	sentTo(t, s, letter("account:{a}/b", 5, "r1", "r2"), 2, 0, false)
	wants(t, "recipients", srv.do(t, "ZRANGE", campaign, 0, -1, "WITHSCORES"), before)
	for _, key := range []string{list, campaign} {
		wants(t, key, srv.do(t, "PTTL", key), -1)
	}
	// One to somebody new prolongs both.
	sentTo(t, s, letter("account:{a}/b", 5, "r3"), 2, 1, false)
	for _, key := range []string{list, campaign} {
		if got := srv.do(t, "PTTL", key).(int64); got < 7_100_000 {
			t.Errorf("%s lives for %d ms after another letter; want 2 hours", key, got)
		}
	}
	if n, err := s.Reset(t.Context(), "account:{a}/b"); n != 0 || err != nil {
		t.Errorf("reset: %d, %v; want no window", n, err)
	}
	wants(t, "keys", srv.do(t, "EXISTS", list, campaign), 0)
}

// A server's clock was set back by a day: recipients count, for no longer than an hour
// from the next letter on.
func TestCampaignClockSetBack(t *testing.T) {
	srv := common(t)
	s := open(t, Options{URL: srv.url()})
	sentTo(t, s, letter("account:a", 5, "r1"), 0, 1, false)
	key := "o2n:campaign/" + sketchText(letter("", 0).Sketch) + "/{account:a}"
	r1 := srv.do(t, "ZRANGE", key, 0, -1).([]any)[0]
	srv.do(t, "ZADD", key, time.Now().Add(24*time.Hour).UnixMicro(), r1)
	sentTo(t, s, letter("account:a", 5, "r2"), 1, 1, false)
	score, err := strconv.ParseFloat(fmt.Sprint(srv.do(t, "ZSCORE", key, r1)), 64)
	if left := time.Until(time.UnixMicro(int64(score))); err != nil || left > time.Minute {
		t.Errorf("the recipient's slot ends in %s, %v; want at most a minute", left, err)
	}
}

// What somebody has put in the place of campaigns is an error that names the key, or is
// of no campaign; a reset ends it.
func TestDamagedCampaigns(t *testing.T) {
	srv := common(t)
	s := open(t, Options{URL: srv.url()})
	list := campaignsKey("account:a")
	near := letter("account:a", 5).Sketch
	near[1] = 1
	of := func(sketch string) string { return "o2n:campaign/" + sketch + "/{account:a}" }
	own := of(sketchText(letter("account:a", 5).Sketch))
	for name, test := range map[string]struct {
		commands [][]any
		known    int64 // -1: an error
	}{
		"a string":                      {[][]any{{"SET", list, "junk"}}, -1},
		"its recipients are none":       {[][]any{{"ZADD", list, 1, sketchText(letter("account:a", 5).Sketch)}, {"SET", own, "junk"}}, -1},
		"another's recipients are none": {[][]any{{"ZADD", list, 1, sketchText(near)}, {"SET", of(sketchText(near)), "junk"}}, -1},
		"sketches that are none": {[][]any{
			{"ZADD", list, 1, "", 2, "junk", 3, strings.Repeat("x", 64), 4, strings.Repeat("0", 1000), "inf", strings.Repeat("\x00", 64)},
		}, 0},
		"a campaign that is over": {[][]any{{"ZADD", list, 1, sketchText(near)}, {"ZADD", of(sketchText(near)), 1, "12345678"}}, 0},
		"not listed":              {[][]any{{"ZADD", own, time.Now().Add(time.Hour).UnixMicro(), "12345678"}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range test.commands {
				srv.do(t, c...)
			}
			ask := state.Ask{Charges: one("account:b", 1<<40), Letters: []state.Letter{letter("account:a", 5, "r1")}}
			before := used(t, s, ask.Charges[0].Window)
			a, err := s.Take(t.Context(), time.Now(), ask)
			switch {
			case test.known >= 0 && (err != nil || a.Campaigns[0].Known != test.known):
				t.Errorf("%+v, %v; want %d known", a, err, test.known)
			case test.known < 0 && (err == nil || !strings.Contains(err.Error(), "{account:a} is damaged; reset clears it") || s.link.fault() != nil):
				t.Errorf("take: %v (link %v); want an error that names the key", err, s.link.fault())
			case test.known < 0 && used(t, s, ask.Charges[0].Window) != before:
				t.Error("the message was charged in part")
			}
			if _, err := s.Reset(t.Context(), "account:a"); err != nil {
				t.Fatal(err)
			}
			srv.do(t, "DEL", own)
			sentTo(t, s, letter("account:a", 5, "r1"), 0, 1, false)
			if _, err := s.Reset(t.Context(), "account:a"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestLetterAnswersOfAnyKind(t *testing.T) {
	values := []any{nil, "", "ok", "80", strings.Repeat("0", 64), int64(1), int64(-1), "7", []any{}}
	s := open(t, Options{URL: common(t).url()})
	good := 0
	for i := range len(values) * len(values) * len(values) {
		a, b, c := values[i%len(values)], values[i/len(values)%len(values)], values[i/len(values)/len(values)]
		tk := newTaking(s, time.Now(), state.Ask{Letters: []state.Letter{letter("account:a", 5, "r1")}})
		p := tk.part()
		p.letters, p.fits = []int{0}, true
		r := &reply{values: []any{int64(1), int64(2), []any{}, []any{}, []any{a, b, b, c, c}}}
		p.read(r, modeHold) // must not panic
		if r.bad == nil {
			good++
			if _, err := tk.answer(); err != nil {
				t.Errorf("%v: %v", r.values, err)
			}
		}
	}
	// A sketch or none; numbers, which may be text; a number that is text.
	if want := 2 * 5 * 3; good != want {
		t.Errorf("%d answers make sense; want %d", good, want)
	}
}

// On a Cluster a letter that a later slot refuses is taken back, and its campaign too
// if it has begun it.
func testLetterTakenBack(t *testing.T, c cluster) {
	c.flush(t)
	s := open(t, Options{URL: c.url()})
	first, last := on(0, "a"), on(2, "b")
	full := []state.Charge{{Window: window("hour", last, time.Hour, 0), Cost: 1}}
	take := func(full []state.Charge, letters ...state.Letter) state.Answer {
		t.Helper()
		a, err := s.Take(t.Context(), time.Now(), state.Ask{Charges: full, Letters: letters})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := take(full, letter(first, 9, "r1", "r2"))
	if len(a.Full) != 1 || a.Campaigns[0].Full || a.Campaigns[0].New != 2 {
		t.Errorf("%+v; want the window full, the campaign not", a)
	}
	wants(t, "keys", len(c[0].do(t, "KEYS", "o2n:campaign*").([]any)), 0)
	take(nil, letter(first, 9, "r1"))
	take(full, letter(first, 9, "r1", "r2"))
	sentTo(t, s, letter(first, 9, "r3"), 1, 1, false)
	// A campaign that is full in the last slot keeps a charge in the first from standing.
	hour := state.Charge{Window: window("hour", first, time.Hour, 9), Cost: 1}
	shadow := state.Charge{Window: window("shadow", first, time.Hour, 0), Cost: 1, CountOnly: true}
	for _, dry := range []bool{true, false} {
		a, err := s.Take(t.Context(), time.Now(), state.Ask{Charges: []state.Charge{hour, shadow}, Letters: []state.Letter{letter(last, 0, "r1"), letter(first, 9, "r4")}, Dry: dry})
		if err != nil || len(a.Full) != 0 || !a.Campaigns[0].Full || a.Campaigns[1].New != 1 || a.Windows[0].Used != 0 {
			t.Errorf("%+v, %v; want nothing charged, and only the campaign full", a, err)
		}
	}
	wants(t, "used", used(t, s, hour.Window), 0)
	sentTo(t, s, letter(first, 9, "r3"), 2, 0, false)
	// All that has room is counted in every slot.
	a = take([]state.Charge{hour}, letter(last, 1, "r1"), letter(first, 9, "r4"))
	wants(t, "used", a.Windows[0].Used, 1)
	sentTo(t, s, letter(last, 1, "r1"), 1, 0, false)
	sentTo(t, s, letter(first, 9, "r4"), 3, 0, false)
}

// BenchmarkLetters measures what a letter costs beside five windows: one of a known
// campaign, and a new one each time, of a subject that has as many as it may. All have
// two recipients, so that there is none that must have the fewest.
func BenchmarkLetters(b *testing.B) {
	for _, kind := range []string{"none", "known", "known of 256", "new of 256"} {
		b.Run(kind, func(b *testing.B) {
			srv := common(b)
			s := open(b, Options{URL: srv.url()})
			rnd := rand.New(rand.NewPCG(1, 3))
			random := func() state.Letter {
				l := letter("account:a", 1<<40, fmt.Sprint("r", rnd.IntN(1000)), "r1")
				l.Near, l.Sketch = 40, state.Sketch{rnd.Uint64(), rnd.Uint64(), rnd.Uint64(), rnd.Uint64()}
				return l
			}
			ask := state.Ask{}
			for _, length := range []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} {
				ask.Charges = append(ask.Charges, state.Charge{Window: window(length.String(), "account:a", length, 1<<40), Cost: 1})
			}
			known := random()
			if kind != "none" {
				ask.Letters = []state.Letter{known}
			}
			take := func() {
				if _, err := s.Take(context.Background(), time.Now(), ask); err != nil {
					b.Fatal(err)
				}
			}
			for range state.MaxCampaigns {
				if strings.HasSuffix(kind, "256") {
					ask.Letters[0] = random()
				}
				take()
			}
			before := serverTime(b, srv)
			b.ResetTimer()
			for range b.N {
				switch kind {
				case "known of 256":
					ask.Letters[0] = known
					ask.Letters[0].Members = []string{fmt.Sprint("r", rnd.IntN(1000))}
				case "new of 256":
					ask.Letters[0] = random()
				}
				take()
			}
			b.StopTimer()
			b.ReportMetric(float64((serverTime(b, srv)-before).Nanoseconds())/float64(b.N), "server-ns/op")
		})
	}
}

// serverTime is what the server has taken of the processor.
func serverTime(t testing.TB, srv *server) (sum time.Duration) {
	t.Helper()
	for line := range strings.Lines(fmt.Sprint(srv.do(t, "INFO", "cpu"))) {
		name, seconds, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			d, err := time.ParseDuration(seconds + "s")
			if err != nil {
				t.Fatal(err)
			}
			sum += d
		}
	}
	return sum
}
