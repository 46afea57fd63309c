package console

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func TestSessionEndsWhenIdleAndAfterItsTime(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []time.Duration // between requests, from the login on
		want  bool            // alive at the last one
	}{
		{"idle a second less", []time.Duration{idleTime - time.Second}, true},
		{"idle", []time.Duration{idleTime}, false},
		{"idle a second more", []time.Duration{idleTime + time.Second}, false},
		{"used in between", []time.Duration{idleTime - 1, idleTime - 1, idleTime - 1}, true},
		{"whole time less a second", steps(sessionTime-time.Second, 20*time.Minute), true},
		{"whole time", steps(sessionTime, 20*time.Minute), false},
		{"whole time and a second", steps(sessionTime+time.Second, 20*time.Minute), false},
	} {
		l := newSessions()
		now := noon
		k := cookieKey(l.start(now, "alice"))
		ok := false
		for _, step := range tt.steps {
			now = now.Add(step)
			_, ok = l.find(now, k)
		}
		if ok != tt.want {
			t.Errorf("%s: alive %t, want %t", tt.name, ok, tt.want)
		}
	}
}

// steps add up to whole, none longer than step.
func steps(whole, step time.Duration) []time.Duration {
	var list []time.Duration
	for ; whole > step; whole -= step {
		list = append(list, step)
	}
	return append(list, whole)
}

func TestSessionsAreBounded(t *testing.T) {
	l := newSessions()
	ids := make([]string, mostSessions+1)
	for i := range ids {
		ids[i] = l.start(noon.Add(time.Duration(i)*time.Second), fmt.Sprint(i))
		if i == mostSessions-1 {
			// The first one is used again: the second one has been idle longest.
			if _, ok := l.find(noon.Add(time.Minute*5), cookieKey(ids[0])); !ok {
				t.Fatal("the first session ended before there were too many")
			}
		}
	}
	now := noon.Add(6 * time.Minute)
	for i, id := range ids {
		if _, ok := l.find(now, cookieKey(id)); ok != (i != 1) {
			t.Errorf("session %d: alive %t", i, ok)
		}
	}
	if len(l.live) != mostSessions {
		t.Errorf("%d sessions, want %d", len(l.live), mostSessions)
	}
}

func TestSessionIDsAreNew(t *testing.T) {
	l := newSessions()
	a, b := l.start(noon, "alice"), l.start(noon, "alice")
	if a == b || len(a) < 52 {
		t.Errorf("ids %q, %q", a, b)
	}
	sa, _ := l.find(noon, cookieKey(a))
	sb, _ := l.find(noon, cookieKey(b))
	if sa.bound == sb.bound || sa.bound == a {
		t.Error("form tokens of two sessions are bound to the same, or to the cookie")
	}
	l.end(cookieKey(a))
	if _, ok := l.find(noon, cookieKey(a)); ok {
		t.Error("alive after its end")
	}
	if _, ok := l.find(noon, cookieKey(b)); !ok {
		t.Error("another's end ended it")
	}
}

func TestFlashesAreSeenOnceAndBounded(t *testing.T) {
	l := newSessions()
	k := cookieKey(l.start(noon, "alice"))
	for i := range mostFlashes + 1 {
		l.flash(k, fmt.Sprint(i))
	}
	if diff := cmp.Diff([]string{"1", "2", "3", "4"}, l.takeFlashes(k)); diff != "" {
		t.Error(diff)
	}
	if got := l.takeFlashes(k); len(got) != 0 {
		t.Errorf("again: %v", got)
	}
}
