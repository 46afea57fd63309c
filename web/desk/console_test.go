package desk

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func (f *fixture) code(t *testing.T, name string) string {
	t.Helper()
	link, err := f.ConsoleLink(t.Context(), Actor{Name: name, From: "cli"})
	if err != nil {
		t.Fatal(err)
	}
	base, code, ok := strings.Cut(link.URL, "?code=")
	if !ok || base != "https://sending.example/admin/login" || !link.Until.Equal(f.now.Add(10*time.Minute)) || len(code) < 26 {
		t.Errorf("%+v", link)
	}
	return code
}

func TestConsoleLink(t *testing.T) {
	f := newDesk(t)
	code := f.code(t, "alice")
	if strings.Contains(f.everything(t)+f.log.String(), code) {
		t.Error("the code is in the store or the log")
	}
	for _, wrong := range []string{"", code[1:], code + "A", strings.ToLower(code)} {
		if name, ok := f.RedeemConsole(wrong); ok || name != "" {
			t.Errorf("%q lets in %q", wrong, name)
		}
	}
	if name, ok := f.RedeemConsole(code); !ok || name != "alice" {
		t.Errorf("got %q, %v", name, ok)
	}
	if _, ok := f.RedeemConsole(code); ok {
		t.Error("it works twice")
	}
	late, last := f.code(t, "late"), f.code(t, "last")
	f.now = f.now.Add(10*time.Minute - 1)
	if _, ok := f.RedeemConsole(last); !ok {
		t.Error("it does not last 10 minutes")
	}
	f.now = f.now.Add(1)
	if _, ok := f.RedeemConsole(late); ok {
		t.Error("it works after 10 minutes")
	}
	f.PublicURL, f.ConsoleURL = "", "http://127.0.0.1:8896"
	if link, err := f.ConsoleLink(t.Context(), root); err != nil || !strings.HasPrefix(link.URL, "http://127.0.0.1:8896/admin/login?code=") {
		t.Errorf("%+v, %v", link, err)
	}
	f.ConsoleURL = ""
	_, err := f.ConsoleLink(t.Context(), root)
	wants(t, err, ErrConflict, "web.public_url")
}

func TestConsoleCodesAreBounded(t *testing.T) {
	f := newDesk(t)
	var all []string
	for range mostCodes + 1 {
		all = append(all, f.code(t, "x"))
	}
	if _, ok := f.RedeemConsole(all[0]); ok {
		t.Error("the oldest of 21 still works")
	}
	for i, c := range all[1:] {
		if _, ok := f.RedeemConsole(c); !ok {
			t.Errorf("code %d does not work", i+1)
		}
	}
}

func TestConsoleCodeRace(t *testing.T) {
	f := newDesk(t)
	code := f.code(t, "x")
	var in atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, ok := f.RedeemConsole(code); ok {
				in.Add(1)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d got in", in.Load())
	}
}

func TestLink(t *testing.T) {
	f := newDesk(t)
	v, err := f.Link(t.Context(), root, LinkFor{Account: "Alice@client-a.example"})
	if err != nil {
		t.Fatal(err)
	}
	token, ok := strings.CutPrefix(v.URL, "https://sending.example/c/")
	if !ok || v.Account != aliceLogin || !v.Until.Equal(start.Add(24*time.Hour)) {
		t.Errorf("%+v", v)
	}
	account, scope, err := f.Links.Open(token, v.Until)
	if account != aliceLogin || scope != ScopeFull || err != nil {
		t.Errorf("%q, %v, %v", account, scope, err)
	}
	if strings.Contains(f.everything(t)+f.log.String(), token) {
		t.Error("the token is in the store or the log")
	}
	if audit, err := f.Audit(t.Context(), AuditQuery{Subject: "account:" + aliceLogin}); err != nil || len(audit.Audit) != 1 || audit.Audit[0].What != "link" {
		t.Errorf("%+v, %v", audit, err)
	}
	if v, err = f.Link(t.Context(), root, LinkFor{Account: "account:dave@client-d.example", For: "31d"}); err != nil || v.Account != "dave@client-d.example" {
		t.Errorf("%+v, %v", v, err)
	}
	_, err = f.Link(t.Context(), root, LinkFor{Account: aliceLogin, For: "32d"})
	wants(t, err, ErrBad, "at most 31d")
	_, err = f.Link(t.Context(), root, LinkFor{Account: aliceLogin, For: "manual"})
	wants(t, err, ErrBad, "no duration")
	for _, account := range []string{"", "a\x00b", "a+domain:b.example"} {
		_, err = f.Link(t.Context(), root, LinkFor{Account: account})
		wants(t, err, ErrBad, "want a login")
	}
	_, err = f.Link(t.Context(), root, LinkFor{Account: "eve@elsewhere.example"})
	wants(t, err, ErrNotFound, "no account")
	f.PublicURL = ""
	_, err = f.Link(t.Context(), root, LinkFor{Account: aliceLogin})
	wants(t, err, ErrConflict, "web.public_url")
	f.Links = nil
	_, err = f.Link(t.Context(), root, LinkFor{Account: aliceLogin})
	wants(t, err, ErrConflict, "web.link_key_file")
}
