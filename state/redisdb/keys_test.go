package redisdb

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// keys are all of the server, in order.
func keys(t *testing.T, srv *server) []string {
	t.Helper()
	var list []string
	for _, k := range srv.do(t, "KEYS", "*").([]any) {
		list = append(list, k.(string))
	}
	slices.Sort(list)
	return list
}

func setKey(set, subject string) string { return subjectKey(setName+escape(set), subject) }

func TestKeysAreReadable(t *testing.T) {
	srv := common(t)
	s := open(t, Options{URL: srv.url(), HostTime: true})
	charges := append(one("account:alice@client-a.example", 5), one("account:{a}/../%\x00\xe9", 5)...)
	charges[0].Set, charges[0].Members, charges[0].Remember = "recipients", []string{"bob@client-b.example"}, time.Hour
	if _, err := s.Take(t.Context(), start, state.Ask{Charges: charges}); err != nil {
		t.Fatal(err)
	}
	add(t, s, block("7K3QF2M9", "ip:2001:db8::/64"))
	recorded(t, s, state.Decision{ID: "9M2FQ3K7", At: start, Subjects: []string{"ip:2001:db8::/64"}})
	eventually(t, "the decision is there", func() error {
		_, err := s.Decision(t.Context(), "9M2FQ3K7")
		return err
	})
	want := []string{
		"o2n:by/ip:2001:db8::%2F64",
		"o2n:decision/9M2FQ3K7",
		"o2n:decisions",
		"o2n:limit/hour/{account:%7Ba%7D%2F..%2F%25%00%E9}",
		"o2n:limit/hour/{account:alice@client-a.example}",
		"o2n:meta/format",
		"o2n:meta/key",
		"o2n:names",
		"o2n:set/recipients/{account:alice@client-a.example}",
		"o2n:{docs}",
		"o2n:{docs}/gen",
		"o2n:{docs}/log",
		"o2n:{docs}/marks",
	}
	if d := cmp.Diff(want, keys(t, srv)); d != "" {
		t.Errorf("keys (-want +got):\n%s", d)
	}
	slot := start.Unix() / 60
	hash := srv.do(t, "HGETALL", "o2n:limit/hour/{account:alice@client-a.example}")
	wants(t, "a window", hash, []any{"w", int64(time.Hour), "u", 1, "o", slot, "n", slot, slot, 1})
	members := srv.do(t, "ZRANGE", "o2n:set/recipients/{account:alice@client-a.example}", 0, -1).([]any)
	if len(members) != 1 || len(members[0].(string)) != 8 {
		t.Errorf("members %q; want one of 8 bytes", members)
	}
}

// What the server drops by its own clock is what has emptied long before; docs, and
// what hosts must agree on, it never drops.
func TestLifetimes(t *testing.T) {
	srv := common(t)
	s := open(t, Options{URL: srv.url(), Retention: 48 * time.Hour})
	charges := one("account:a", 5)
	charges[0].Set, charges[0].Members, charges[0].Remember = "recipients", []string{"r1"}, 24*time.Hour
	passes(t, s, true, charges)
	add(t, s, block("B1", "account:a"))
	recorded(t, s, state.Decision{ID: "D1", At: time.Now(), Subjects: []string{"account:a"}})
	eventually(t, "the decision is there", func() error { _, err := s.Decision(t.Context(), "D1"); return err })
	want := map[string]time.Duration{
		limitKey("hour", "account:a"): 2 * time.Hour, setKey("recipients", "account:a"): 48 * time.Hour,
		decisionKey("D1"): 48 * time.Hour, byKey("account:a"): 48 * time.Hour,
	}
	for _, key := range keys(t, srv) {
		got := time.Duration(srv.do(t, "PTTL", key).(int64)) * time.Millisecond
		exact, ends := want[key]
		if !ends && got >= 0 || ends && (got > exact || got < exact-time.Minute) {
			t.Errorf("%s: lives for %s; want %s (0: for ever)", key, got, exact)
		}
	}
	// A later charge in another slot prolongs it.
	srv.do(t, "PEXPIRE", limitKey("hour", "account:a"), 60_000)
	h := open(t, Options{URL: srv.url(), HostTime: true})
	if _, err := h.Take(t.Context(), time.Now().Add(5*time.Minute), state.Ask{Charges: one("account:a", 5)}); err != nil {
		t.Fatal(err)
	}
	if got := srv.do(t, "PTTL", limitKey("hour", "account:a")).(int64); got < 7_100_000 {
		t.Errorf("lives for %d ms after another charge; want 2 hours", got)
	}
}

// A window or set in which somebody has put something else is an error that names the
// key, charges nothing, is no outage, and ends with a reset.
func TestDamaged(t *testing.T) {
	srv := common(t)
	s := open(t, Options{URL: srv.url()})
	key, set := limitKey("hour", "account:a"), setKey("recipients", "account:a")
	now := time.Now().Unix() / 60
	for name, commands := range map[string][][]any{
		"a string":            {{"SET", key, "junk"}},
		"a length of letters": {{"HSET", key, "w", "x", "u", 1, "o", now, "n", now, now, 1}},
		"no sum":              {{"HSET", key, "w", int64(time.Hour), "o", now, "n", now, now, 1}},
		"a sum of letters":    {{"HSET", key, "w", int64(time.Hour), "u", "x", "o", now, "n", now, now, 1}},
		"a slot of letters":   {{"HSET", key, "w", int64(time.Minute), "u", 1, "o", 0, "n", now, now, "x"}},
		"an odd field":        {{"HSET", key, "w", int64(time.Minute), "u", 1, "o", 0, "n", now, "odd", 1}},
		"a set that is none":  {{"SET", set, "junk"}},
	} {
		t.Run(name, func(t *testing.T) {
			passes(t, s, true, one("account:a", 5)) // the names are known
			srv.do(t, "DEL", key, set)
			for _, c := range commands {
				srv.do(t, c...)
			}
			charges := append(one("account:b", 1<<40), one("account:a", 5)...)
			charges[1].Set, charges[1].Members, charges[1].Remember = "recipients", []string{"r1"}, time.Hour
			before := used(t, s, charges[0].Window)
			_, err := s.Take(t.Context(), time.Now(), state.Ask{Charges: charges})
			if err == nil || !strings.Contains(err.Error(), "{account:a} is damaged; reset clears it") || s.link.fault() != nil {
				t.Fatalf("take: %v (link %v); want an error that names the key", err, s.link.fault())
			}
			if n := used(t, s, charges[0].Window); n != before {
				t.Errorf("the other window holds %d; want %d", n, before)
			}
			if _, err := s.Reset(t.Context(), "account:a"); err != nil {
				t.Fatal(err)
			}
			passes(t, s, true, charges)
		})
	}
	srv.do(t, "DEL", key)
	srv.do(t, "SET", key, "junk")
	if _, err := s.Usage(t.Context(), time.Now(), []state.Window{one("account:a", 1)[0].Window}); err == nil || s.link.fault() != nil {
		t.Errorf("usage: %v; want an error, and the link up", err)
	}
	if n, err := s.Reset(t.Context(), "account:a"); n != 1 || err != nil {
		t.Errorf("reset: %d, %v; want 1", n, err)
	}
}

// What stands in the meta keys and cannot be right keeps the store away, with the reason.
func TestForeignMeta(t *testing.T) {
	srv := common(t)
	for key, values := range map[string][]string{formatKey: {"2", "0", "x", ""}, memberKey: {"", "abc", strings.Repeat("0", 62)}} {
		for _, value := range values {
			srv.do(t, "FLUSHALL")
			srv.do(t, "SET", key, value)
			s := open(t, Options{URL: srv.url()})
			if err := s.link.fault(); err == nil || !strings.Contains(err.Error(), key) {
				t.Errorf("%s %q: %v; want an error that names the key", key, value, err)
			} else if newer := key == formatKey && value == "2"; errors.Is(err, state.ErrNewer) != newer {
				t.Errorf("%s %q: %v; is ErrNewer %v, want %v", key, value, err, !newer, newer)
			}
		}
	}
}

func TestRepliesOfAnyKind(t *testing.T) {
	values := []any{nil, "ok", "full", "stale", "damaged", "x", int64(1), int64(-1), []any{}, []any{"a"}, []any{int64(9)}, []any{[]any{}}}
	s := open(t, Options{URL: common(t).url()})
	ask := state.Ask{Charges: one("account:a", 5)}
	for i := range len(values) * len(values) * len(values) {
		list := []any{"ok", values[i%len(values)], values[i/len(values)%len(values)], "1", values[i/len(values)/len(values)], []any{}}
		tk := newTaking(s, time.Now(), ask)
		p := tk.part()
		p.charges = []int{0}
		p.fits = true
		r := &reply{values: list[1:]}
		p.read(r, modeTake) // must not panic
		if r.bad == nil {
			if _, err := tk.answer(); err != nil {
				t.Errorf("%v: %v", list, err)
			}
		}
	}
	for _, number := range []string{"", "x", "1.5", "99999999999999999999"} {
		r := &reply{values: []any{number}}
		if r.number(); r.bad == nil {
			t.Errorf("%q taken for a number", number)
		}
	}
}

func FuzzDecodeWindow(f *testing.F) {
	f.Add("w 60000000000 u 1 o 5 n 5 5 1")
	f.Add("w 1 -5 1")
	f.Add(fmt.Sprint("w 60000000000 ", int64(1)<<62, " ", int64(1)<<62))
	f.Fuzz(func(t *testing.T, s string) {
		slots, err := decodeWindow(strings.Fields(s), 5, 1)
		if err != nil {
			return
		}
		if slots.Used() < 0 {
			t.Errorf("%q: used %d", s, slots.Used())
		}
		slots.Advance(time.Minute, start.UnixNano())
	})
}
