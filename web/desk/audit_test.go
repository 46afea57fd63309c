package desk

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
)

func TestAuditIsBounded(t *testing.T) {
	f := newDesk(t)
	for i := range mostAudit + 5 {
		f.now = start.Add(time.Duration(i) * time.Second)
		line := state.AuditLine{ID: f.now.Format("20060102T150405.000000") + "-X", At: f.now, What: fmt.Sprint(i), Subject: []string{"account:a", "account:b"}[i%2]}
		if err := state.PutRecord(t.Context(), f.Store, &line); err != nil {
			t.Fatal(err)
		}
	}
	f.now = f.now.Add(time.Second)
	b := f.block(t, "account:a")
	all, err := f.Audit(t.Context(), AuditQuery{Limit: 1 << 40})
	if err != nil || len(all.Audit) != mostAudit {
		t.Fatalf("%d lines, %v", len(all.Audit), err)
	}
	if all.Audit[0].Target != b.ID || all.Audit[1].What != "2004" || all.Audit[mostAudit-1].What != "6" {
		t.Errorf("%+v .. %+v", all.Audit[0], all.Audit[mostAudit-1])
	}
	if few, err := f.Audit(t.Context(), AuditQuery{}); err != nil || len(few.Audit) != shownByDefault {
		t.Errorf("%d lines, %v", len(few.Audit), err)
	}
	if some, err := f.Audit(t.Context(), AuditQuery{Subject: "account:B", Limit: 3}); err != nil || len(some.Audit) != 3 || some.Audit[0].What != "2003" || some.Audit[2].Subject != "account:b" {
		t.Errorf("%+v, %v", some, err)
	}
	if none, err := f.Audit(t.Context(), AuditQuery{Target: "B9"}); err != nil || none.Audit == nil || len(none.Audit) != 0 {
		t.Errorf("%+v, %v", none, err)
	}
	_, err = f.Audit(t.Context(), AuditQuery{Subject: "x"})
	wants(t, err, ErrBad, "want account:")
}

// A line that cannot be kept is in the log; the change stands and says so.
func TestAuditFails(t *testing.T) {
	f := newDesk(t)
	f.Store = &failing{Store: f.Store, put: func(doc state.Doc) error {
		if doc.Kind == "audit" {
			return errors.New("disk full")
		}
		return nil
	}}
	v := f.block(t, "account:a")
	if f.stateOf(t, v.ID) != state.BlockActive {
		t.Error("no block")
	}
	for _, part := range []string{`what="block add" id=` + v.ID, `level=ERROR msg="audit line not kept"`, "disk full"} {
		if !strings.Contains(f.log.String(), part) {
			t.Errorf("no %s in %s", part, f.log.String())
		}
	}
}
