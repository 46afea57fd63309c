package bypass

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"o2n-milter/accounts"
	"o2n-milter/config"
	"o2n-milter/message"
	"o2n-milter/rules"
	"o2n-milter/state/memory"
)

// The account that all mail here is sent by, and whom it would like to be.
const (
	login     = "alice@client-a.example"
	ownDomain = "client-a.example"
	foreign   = "ceo@bank.example"
	victim    = "victim@remote.example"
)

const ownAccount = `
[account."alice@client-a.example"]
customer = "C-1001"
addresses = ["alice@client-a.example"]
domains = ["client-a.example"]
`

// judge is the engine with the shipped rules and one account.
type judge struct {
	t      testing.TB
	engine *rules.Engine
}

func newJudge(t testing.TB) *judge {
	t.Helper()
	file := filepath.Join(t.TempDir(), "o2n-milter.toml")
	if err := os.WriteFile(file, []byte(ownAccount), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, faults := config.Load(file, true)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	table, clashes := accounts.NewTable([]*accounts.Account{
		{Login: login, Customer: "C-1001", Addresses: []string{login}, Domains: []string{ownDomain}},
	})
	if len(clashes) > 0 {
		t.Fatal(clashes)
	}
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	return &judge{t, rules.New(cfg.Rules, table, memory.New(), func() time.Time { return at })}
}

// try is the verdict on one mail of the account's to these recipients.
func (j *judge) try(sender string, to []string, header []message.Field, body []byte) rules.Verdict {
	m := &rules.Mail{
		Client: netip.MustParseAddr("192.0.2.7"), Host: "mx.example", Login: login, Sender: sender,
		QueueID: "Q1", Header: header, Body: body, Size: 1000, CanHold: true,
	}
	for _, a := range to {
		m.Recipients = append(m.Recipients, rules.Recipient{Address: a})
	}
	v := j.engine.Try(j.t.Context(), m)
	if v.Err != nil {
		j.t.Errorf("%q: inner error: %v", header, v.Err)
	}
	return v
}

// passes says that the mail goes out.
func passes(v rules.Verdict) bool { return v.Action == rules.Accept }

// found says whether the rule found something, in shadow or not.
func found(v rules.Verdict, rule string) bool {
	return slices.ContainsFunc(v.Evidence, func(e rules.Evidence) bool { return e.Rule == rule })
}

// split cuts a mail as Postfix hands it over.
func split(t testing.TB, mail []byte) message.Raw {
	t.Helper()
	raw, err := message.Split(bytes.NewReader(mail), int64(len(mail)))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// wire is the header as it goes on to the recipient.
func wire(header []message.Field, body []byte) []byte {
	var b bytes.Buffer
	for _, f := range header {
		b.WriteString(f.Name + ": " + strings.ReplaceAll(f.Value, "\n", "\r\n") + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// shrink drops what it can of the text while it still fails: first halves, then ever
// smaller pieces (Zeller's ddmin).
func shrink(text []byte, fails func([]byte) bool) []byte {
	for piece := max(1, len(text)/2); ; {
		cut := false
		for at := 0; at < len(text); {
			less := slices.Concat(text[:at], text[min(len(text), at+piece):])
			if fails(less) {
				text, cut = less, true
			} else {
				at += piece
			}
		}
		switch {
		case piece > 1:
			piece /= 2
		case !cut:
			return text
		}
	}
}

// files are those of a folder that may not be here, up to so many octets.
func files(t testing.TB, dir string, most int64) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() <= most && !strings.HasSuffix(path, ".tsv") && !strings.HasSuffix(path, ".md") {
			list = append(list, path)
		}
		return err
	})
	if os.IsNotExist(err) {
		t.Logf("SKIPPED: %s is not there, so its mail is not tried", dir)
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}
