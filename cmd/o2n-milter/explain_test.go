package main

import (
	"bytes"
	"strings"
	"testing"

	"o2n-milter/rules"
	"o2n-milter/web/desk"
)

// A decision is as it was; where held mail is now, another command says.
func TestExplainNamesTheWayToHeldMail(t *testing.T) {
	const way = "o2n-milter held show 7K3QF2M9\n"
	for _, action := range []rules.Action{rules.Accept, rules.Tag, rules.Quarantine, rules.Tempfail, rules.Reject} {
		var out bytes.Buffer
		a := &app{out: &out}
		if err := a.printExplained(desk.Explained{ID: "7K3QF2M9", Action: action.String()}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), way); got != (action == rules.Quarantine) {
			t.Errorf("%s:\n%s", action, out.String())
		}
	}
}
