package console

import (
	"net/http"
	"strings"
	"testing"
)

func TestPages(t *testing.T) {
	w := newWorld(t)
	w.fill("hello")
	b := w.operator("alice")
	for _, tt := range []struct {
		path string
		want []string
	}{
		{"/admin/", []string{
			"Overview", "Open requests 1", "Blocks in force 2", "Mail on hold 2, 1 for you to decide", "Sessions 3", "Store memory", "Version 1.2.3",
			"none accept 40", "rule.n0 reject 1", "others", "account:alice@client-a.example 40 0", "account:hello 9 9",
			"R1111111", "B1111111", "Logged in as alice",
		}},
		{"/admin/search?q=alice", []string{"Searched for alice", "account:alice@client-a.example"}},
		{"/admin/search?q=b1111111", []string{"Block B1111111"}},
		{"/admin/search?q=550+5.7.1+text+%5Bblock.active+7K3QF2M9%5D", []string{"Decision 7K3QF2M9"}},
		{"/admin/search?q=R1111111", []string{"Request R1111111"}},
		{"/admin/search?q=E1111111", []string{"Exemption E1111111"}},
		{"/admin/search?q=h1111111", []string{"Held mail H1111111"}},
		{"/admin/search?q=postsuper+Qhello", []string{"Searched for postsuper Qhello"}}, // two messages have it
		{"/admin/search?q=nobody", []string{"Nothing of that name was seen"}},
		{"/admin/subject?subject=account:Alice@client-a.example", []string{
			"Blocked until 14 Mar 2026, 15:00 UTC: hello", "minute 1m 10 messages 10 in 40 seconds", "daily 1d 12,345 recipients 20,000 now",
			"R1111111 open", "7K3QF2M9 14 Mar 2026, 10:00 UTC reject identity.header_from hello 192.0.2.7 hello 3",
			"E1111111 limit.minute limit x3 to hello hello", "Block it", "Exempt it", "Held mail Message Since",
			"H1111111 14 Mar 2026, 11:00 UTC in 20 minutes waiting limit.minute hello 2 hello All of it: 1",
		}},
		{"/admin/subject?subject=ip:198.51.100.1", []string{"No limit counts this subject", "None.", "Nothing was changed."}},
		{"/admin/blocks", []string{"B1111111", "B2222222", "customer:hello"}},
		{"/admin/blocks?all=1", []string{"B1111111"}},
		{"/admin/blocks/B1111111", []string{
			"Block B1111111 active", "Subject account:alice@client-a.example", "Account hello", "Customer hello", "Until 14 Mar 2026, 15:00 UTC (in 3 hours)",
			"Lift it", "Extend it", "Request R1111111 open", "Evidence", "Decisions that struck", "7K3QF2M9 14 Mar 2026, 10:00 UTC reject identity.header_from 3 hello",
		}},
		{"/admin/requests", []string{
			"Request R1111111 open", "Asked 14 Mar 2026, 11:50 UTC (10 minutes ago), hello", "What happened hello", "Password changed yes", "Approve and lift", "Deny",
		}},
		{"/admin/requests?all=1", []string{"R1111111"}},
		{"/admin/requests?id=R1111111", []string{"R1111111"}},
		{"/admin/exemptions", []string{"E1111111", "Scope limit x3 to hello", "Owner hello", "Remove it", "Exempt a subject", "identity.header_from"}},
		{"/admin/exemptions?all=1", []string{"E1111111"}},
		{"/admin/exemptions?id=E1111111", []string{"E1111111"}},
		{"/admin/held", []string{
			"account:alice@client-a.example limit.minute 1 14 Mar 2026, 11:00 UTC in 20 minutes 0", "customer:hello hello 1 14 Mar 2026, 11:00 UTC not known 1",
			"On hold, and not by us", "hello hello 13 Mar 2026, 12:00 UTC hello 7 hello",
		}},
		{"/admin/held?all=1", []string{"H2222222 14 Mar 2026, 11:00 UTC kept to bounce hello hello 2 hello", "H1111111", "On hold, and not by us"}},
		{"/admin/held?subject=account:Alice@client-a.example&rule=limit.minute", []string{
			"Held mail of account:Alice@client-a.example by limit.minute", "H1111111", "All 1 of them", "Release at once", "Send back", "Delete",
		}},
		{"/admin/held/h1111111", []string{
			"Held mail H1111111 waiting", "Waits behind account:alice@client-a.example", "Rule limit.minute, decision H1111111", "Reason hello", "Account hello",
			"Since 14 Mar 2026, 11:00 UTC (1 hour ago)", "Leaves 14 Mar 2026, 12:20 UTC (in 20 minutes)", "Queue Qhello on hello", "hello b@remote.example",
			"Subject line hello", "Size 4,711 bytes", "What is to become of it",
		}},
		{"/admin/held/H2222222", []string{"kept", "not by itself: an operator decides", "Wanted bounce, by hello"}},
		{"/admin/audit", []string{"14 Mar 2026, 11:00 UTC hello", "console link"}},
		{"/admin/audit?subject=account:alice@client-a.example", []string{"Only about account:alice@client-a.example", "14 Mar 2026, 11:00 UTC hello"}},
		{"/admin/decisions/7K3QF2M9", []string{
			"Decision 7K3QF2M9 reject", "Reply 550 5.7.1 hello", "Recipients 3", "Subject line hello", "Size 4,711 bytes", "ip:192.0.2.7",
			"Campaign hello of account:alice@client-a.example: 21 different recipients",
			"identity.header_from shadow hello hello hello", "limit.day exempt by hello hello", "limit.hour max raised, exempt by hello", "minute account:alice@client-a.example 1 messages",
			"It was refused for good, by the rule identity.header_from.", "bob@remote.example", "Configuration hello", "Content score hello",
			"What would have made it pass identity.sender A Sender field with an address of the account (hello), or none. If hello is the customer's",
			"identity.header_from hello hello:7", `identity.alignment "relaxed" default`, "minute account:alice@client-a.example 10 10 messages 1m 14 Mar 2026",
		}},
	} {
		p := b.get(tt.path)
		if p.status != http.StatusOK {
			t.Errorf("%s: %d\n%s", tt.path, p.status, w.log.String())
		}
		text := p.text()
		var missed []string
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				missed = append(missed, want)
			}
		}
		if len(missed) > 0 {
			t.Errorf("%s: no %q in\n%s", tt.path, missed, text)
		}
		if strings.Contains(text, "[U+") {
			t.Errorf("%s: invisible characters of our own:\n%s", tt.path, text)
		}
	}
}

func TestEmptyPages(t *testing.T) {
	w := newWorld(t)
	w.desk.Stats = nil
	b := w.operator("alice")
	for path, want := range map[string]string{
		"/admin/":                "Open requests none",
		"/admin/held":            "No mail is on hold.",
		"/admin/held?all=1":      "No mail was held lately.",
		"/admin/held?rule=x":     "No mail is on hold.",
		"/admin/blocks":          "Nobody is blocked.",
		"/admin/blocks?all=1":    "There was never a block.",
		"/admin/requests":        "No request is open.",
		"/admin/requests?all=1":  "There was never a request.",
		"/admin/exemptions":      "Nobody is exempt.",
		"/admin/exemptions?all=": "Nobody is exempt.",
		"/admin/audit":           "console link",
	} {
		if p := b.get(path); p.status != http.StatusOK || !strings.Contains(p.text(), want) {
			t.Errorf("%s: %d, no %q in\n%s", path, p.status, want, p.text())
		}
	}
}

func TestUnknownThingsAreNotFound(t *testing.T) {
	w := newWorld(t)
	w.fill("hello")
	b := w.operator("alice")
	for path, want := range map[string]int{
		"/admin/blocks/B0000000":                         http.StatusNotFound,
		"/admin/blocks/":                                 http.StatusNotFound,
		"/admin/blocks/B1111111/lift":                    http.StatusNotFound, // a POST only
		"/admin/decisions/00000000":                      http.StatusNotFound,
		"/admin/decisions/%00":                           http.StatusNotFound,
		"/admin/requests?id=R0000000":                    http.StatusNotFound,
		"/admin/exemptions?id=E0000000":                  http.StatusNotFound,
		"/admin/held/H0000000":                           http.StatusNotFound,
		"/admin/held/":                                   http.StatusNotFound,
		"/admin/held/Qhello":                             http.StatusConflict,
		"/admin/held?subject=nonsense":                   http.StatusUnprocessableEntity,
		"/admin/nothing":                                 http.StatusNotFound,
		"/admin/subject":                                 http.StatusUnprocessableEntity,
		"/admin/subject?subject=nonsense":                http.StatusUnprocessableEntity,
		"/admin/subject?subject=ip:192.0.2.7&before=now": http.StatusNotFound,
		"/admin/audit?subject=nonsense":                  http.StatusUnprocessableEntity,
		"/admin/search":                                  http.StatusUnprocessableEntity,
		"/admin/search?q=" + strings.Repeat("x", 401):    http.StatusUnprocessableEntity,
	} {
		if p := b.get(path); p.status != want || !strings.Contains(p.text(), "Logged in as alice") {
			t.Errorf("%s: %d, want %d:\n%s", path, p.status, want, p.text())
		}
	}
}
