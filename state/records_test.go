package state_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
	"o2n-milter/state/memory"
)

func TestRecords(t *testing.T) {
	ctx, s := t.Context(), memory.New()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	first := state.Exemption{ID: "E1", Subject: "account:a%41\xff", Rule: "limit.minute", Factor: 3, Reason: "100 %", Since: at, Until: at.Add(time.Hour)}
	other := state.Exemption{ID: "E2", Subject: "account:b", Since: at}
	for _, e := range []*state.Exemption{&first, &other} {
		if err := state.PutRecord(ctx, s, e); err != nil || e.Rev != 1 {
			t.Fatalf("put: revision %d, error %v", e.Rev, err)
		}
	}
	list := func(subjects ...string) []state.Exemption {
		t.Helper()
		got, err := state.Records[state.Exemption](ctx, s)
		if subjects != nil {
			got, err = state.RecordsOf[state.Exemption](ctx, s, subjects)
		}
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for name, c := range map[string]struct{ got, want []state.Exemption }{
		"all":     {list(), []state.Exemption{first, other}},
		"one":     {list("account:a%41\xff", "account:c"), []state.Exemption{first}},
		"escaped": {list("account:a%41%FF"), []state.Exemption{}},
	} {
		if d := cmp.Diff(c.want, c.got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	stale := first
	first.RemovedAt = at
	if err := state.PutRecord(ctx, s, &first); err != nil || first.Rev != 2 {
		t.Fatalf("second put: revision %d, error %v", first.Rev, err)
	}
	if err := state.PutRecord(ctx, s, &stale); !errors.Is(err, state.ErrConflict) {
		t.Errorf("put of an older revision: %v; want a conflict", err)
	}
	if err := state.DeleteRecord(ctx, s, first); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]state.Exemption{other}, list()); d != "" {
		t.Errorf("after delete (-want +got):\n%s", d)
	}
}

func TestExemptionActive(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := state.Exemption{Since: at, Until: at.Add(time.Hour)}
	for offset, want := range map[time.Duration]bool{-1: false, 0: true, time.Hour - 1: true, time.Hour: false} {
		if got := e.Active(at.Add(offset)); got != want {
			t.Errorf("%s after its start: %v", offset, got)
		}
	}
	if e.RemovedAt = at; e.Active(at.Add(time.Minute)) {
		t.Error("active though removed")
	}
}
