package page

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestCheckForm(t *testing.T) {
	sound := newKit(&clock{noon}).formToken("session", "lift", noon)
	at, mac, _ := strings.Cut(sound, ".")
	other := New(Options{Key: []byte("another key"), Now: time.Now})
	tests := []struct {
		name, token, bound, page string
		now                      time.Time
		ok                       bool
	}{
		{"as given", sound, "session", "lift", noon, true},
		{"just in time", sound, "session", "lift", noon.Add(formAge - time.Second), true},
		{"too old", sound, "session", "lift", noon.Add(formAge), false},
		{"a minute ahead", sound, "session", "lift", noon.Add(-time.Minute), true},
		{"more than a minute ahead", sound, "session", "lift", noon.Add(-time.Minute - time.Second), false},
		{"another session", sound, "other", "lift", noon, false},
		{"another page", sound, "session", "approve", noon, false},
		{"bound and page run together", sound, "sessionlift", "", noon, false},
		{"none", "", "session", "lift", noon, false},
		{"no signature", at + ".", "session", "lift", noon, false},
		{"no time", "." + mac, "session", "lift", noon, false},
		{"time moved", fmt.Sprint(noon.Unix()+1) + "." + mac, "session", "lift", noon, false},
		{"cut short", sound[:len(sound)-1], "session", "lift", noon, false},
		{"one letter more", sound + "A", "session", "lift", noon, false},
		{"another key", other.formToken("session", "lift", noon), "session", "lift", noon, false},
		{"no number", "x." + newKit(&clock{noon}).sign("session", "lift", "x"), "session", "lift", noon, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := newKit(&clock{test.now})
			r := post("http://localhost/", url.Values{tokenField: {test.token}, "x": {"y"}}.Encode())
			err := k.CheckForm(r, test.bound, test.page)
			if test.ok && (err != nil || r.PostForm.Get("x") != "y") || !test.ok && !errors.Is(err, ErrForm) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestTokenInTheAddressDoesNotCount(t *testing.T) {
	k := newKit(&clock{noon})
	r := post("http://localhost/?"+tokenField+"="+k.formToken("s", "p", noon), "")
	if err := k.CheckForm(r, "s", "p"); !errors.Is(err, ErrForm) {
		t.Error(err)
	}
}

func TestKeyIsSharedOrRandom(t *testing.T) {
	o := Options{Key: []byte("of the fleet"), Now: time.Now}
	sign := func() string { return New(o).formToken("s", "p", noon) }
	if a, b := sign(), sign(); a != b {
		t.Error("two hosts with one key sign differently")
	}
	o.Key = nil
	if a, b := sign(), sign(); a == b {
		t.Error("two random keys sign alike")
	}
}

func TestLimiter(t *testing.T) {
	l := NewLimiter(3, 3*time.Minute)
	for i := range 3 {
		if ok, _ := l.Allow(noon, "a"); !ok {
			t.Fatalf("token %d refused", i+1)
		}
	}
	if ok, wait := l.Allow(noon, "a"); ok || wait != time.Minute {
		t.Errorf("token 4: %v, wait %v", ok, wait)
	}
	if ok, _ := l.Allow(noon, "b"); !ok {
		t.Error("another key is refused")
	}
	if ok, wait := l.Allow(noon.Add(time.Minute-1), "a"); ok || wait != 1 {
		t.Errorf("just before: %v, wait %v", ok, wait)
	}
	if ok, _ := l.Allow(noon.Add(time.Minute), "a"); !ok {
		t.Error("refused after a minute")
	}
	if ok, _ := l.Allow(noon.Add(time.Minute), "a"); ok {
		t.Error("a refusal gave a token")
	}
	for i := range 3 {
		if ok, _ := l.Allow(noon.Add(time.Hour), "a"); !ok {
			t.Fatalf("an hour later: token %d refused", i+1)
		}
	}
	if ok, _ := l.Allow(noon.Add(time.Hour), "a"); ok {
		t.Error("an hour later: more than the bucket holds")
	}
}

// A clock that was set back by an hour shuts nobody out for an hour.
func TestLimiterWhenTheClockIsSetBack(t *testing.T) {
	l := NewLimiter(3, 3*time.Minute)
	for range 3 {
		l.Allow(noon.Add(time.Hour), "a")
	}
	if ok, wait := l.Allow(noon, "a"); ok || wait != time.Minute {
		t.Errorf("%v, wait %v; want a minute", ok, wait)
	}
}

func TestLimiterIsBounded(t *testing.T) {
	l := NewLimiter(3, time.Minute)
	for i := range mostKeys - 1 {
		l.Allow(noon, fmt.Sprint(i))
	}
	for range 3 {
		l.Allow(noon.Add(time.Second), "busy")
	}
	for i := range 100 {
		l.Allow(noon.Add(time.Second), "more"+fmt.Sprint(i))
		if len(l.full) > mostKeys {
			t.Fatalf("%d keys", len(l.full))
		}
	}
	if ok, _ := l.Allow(noon.Add(time.Second), "busy"); ok {
		t.Error("the emptiest bucket was forgotten")
	}
}
