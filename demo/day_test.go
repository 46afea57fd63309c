package demo

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestDayIsTheSameEachTime(t *testing.T) {
	if diff := cmp.Diff(day(), day(), cmp.AllowUnexported(letter{}), cmpopts.IgnoreFields(letter{}, "from")); diff != "" {
		t.Errorf("two days differ:\n%s", diff)
	}
}

func TestDay(t *testing.T) {
	letters, writers := day(), map[string]bool{}
	if !slices.IsSortedFunc(letters, func(a, b letter) int { return int(a.at - b.at) }) {
		t.Error("not in order")
	}
	for _, l := range letters {
		if l.at < 0 || l.at > time.Minute {
			t.Errorf("%s at %v; want it within a minute", l.what, l.at)
		}
		if l.what == ordinaryMail && l.login != "" {
			writers[l.login] = true
		}
		if (l.login == "") != (l.from.Port() == 0) {
			t.Errorf("%s: login %q from %v", l.what, l.login, l.from)
		}
		for _, address := range append(l.recipients, l.sender) {
			if !strings.HasSuffix(address, ".example") { // RFC 2606: nobody's
				t.Errorf("%s: %s", l.what, address)
			}
		}
	}
	if len(writers) != customersCount {
		t.Errorf("%d accounts write ordinary mail, want %d", len(writers), customersCount)
	}
}
