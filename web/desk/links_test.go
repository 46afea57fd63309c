package desk

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

// vectors of tokens under the key 000102..1f, worked out with Python's hmac.
var vectors = []struct {
	account string
	scope   Scope
	until   int64
	token   string
}{
	{"alice@client-a.example", ScopeFull, 1772366400, "1.YWxpY2VAY2xpZW50LWEuZXhhbXBsZQ.1772366400.rhdaA-bHwm8poOOhEggDuw"},
	{"alice@client-a.example", ScopeReply, 1772366400, "1r.YWxpY2VAY2xpZW50LWEuZXhhbXBsZQ.1772366400.r0AqwBReoU6qs3wFJshdQg"},
	{"b", ScopeFull, 0, "1.Yg.0.QCnmY0dLsYvfh6pNwKQZQg"},
	{"zo\u00eb+tag@x.example", ScopeFull, 4102444800, "1.em_Dqyt0YWdAeC5leGFtcGxl.4102444800.sQwhsIaJkY5XvlqTfeCSeA"},
}

func vectorLinks(t testing.TB) *Links {
	t.Helper()
	key, err := ParseKey([]byte("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLinks(key)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestVectors(t *testing.T) {
	l := vectorLinks(t)
	for _, v := range vectors {
		until := time.Unix(v.until, 0)
		if got := l.Mint(v.account, v.scope, until); got != v.token {
			t.Errorf("%s: got %s, want %s", v.account, got, v.token)
		}
		account, scope, err := l.Open(v.token, until)
		if account != v.account || scope != v.scope || err != nil {
			t.Errorf("%s: opened as %q, %v, %v", v.token, account, scope, err)
		}
		// Good through its last second, and not after.
		if _, _, err := l.Open(v.token, until.Add(time.Second-1)); err != nil {
			t.Error(err)
		}
		if _, _, err := l.Open(v.token, until.Add(time.Second)); err != ErrBadToken {
			t.Errorf("expired: %v", err)
		}
	}
}

func TestLongAccount(t *testing.T) {
	l := vectorLinks(t)
	long := strings.Repeat("x", mostName)
	if account, _, err := l.Open(l.Mint(long, ScopeReply, start), start); account != long || err != nil {
		t.Errorf("%q, %v", account, err)
	}
	if _, _, err := l.Open(l.Mint(long+"x", ScopeReply, start), start); err != ErrBadToken {
		t.Errorf("too long: %v", err)
	}
}

// sign makes a token of any text, as somebody with the key could.
func sign(l *Links, signed string) string {
	return signed + "." + l.mac(signed)
}

func TestBadTokens(t *testing.T) {
	l := vectorLinks(t)
	good := l.Mint("alice", ScopeFull, start)
	other, err := NewLinks(bytes.Repeat([]byte("x"), 32))
	if err != nil {
		t.Fatal(err)
	}
	body := good[:strings.LastIndexByte(good, '.')]
	for name, token := range map[string]string{
		"empty": "", "dots": "...", "one dot": ".", "no signature": body, "empty signature": body + ".",
		"another key":      other.Mint("alice", ScopeFull, start),
		"longer":           good + "A",
		"shorter":          good[:len(good)-1],
		"padding":          good + "==",
		"newline":          good + "\n",
		"other bits":       good[:len(good)-1] + string(good[len(good)-1]^1),
		"scope raised":     strings.Replace(l.Mint("alice", ScopeReply, start), "1r.", "1.", 1),
		"scope lowered":    strings.Replace(good, "1.", "1r.", 1),
		"later":            strings.Replace(good, ".177236", ".277236", 1),
		"unknown version":  sign(l, "2.YWxpY2U.9999999999"),
		"no version":       sign(l, ".YWxpY2U.9999999999"),
		"two parts":        sign(l, "1.YWxpY2U"),
		"four parts":       sign(l, "1.YWxpY2U.9999999999.x"),
		"no account":       sign(l, "1..9999999999"),
		"account padded":   sign(l, "1.YWxpY2U=.9999999999"),
		"account not b64":  sign(l, "1.YWxp!2U.9999999999"),
		"account loose":    sign(l, "1.YWxpY2V.9999999999"),
		"account no UTF-8": sign(l, "1._w.9999999999"),
		"time empty":       sign(l, "1.YWxpY2U."),
		"time no number":   sign(l, "1.YWxpY2U.soon"),
		"time too big":     sign(l, "1.YWxpY2U.99999999999999999999"),
		"time below 1970":  sign(l, "1.YWxpY2U.-1"),
		"huge":             strings.Repeat("1.", 1<<20),
	} {
		if account, scope, err := l.Open(token, start); err != ErrBadToken || account != "" || scope != ScopeReply {
			t.Errorf("%s: %q, %v, %v", name, account, scope, err)
		}
	}
	if _, _, err := l.Open(good, start); err != nil {
		t.Error(err)
	}
}

func TestParseKey(t *testing.T) {
	raw := strings.Repeat("k", 32)
	for name, c := range map[string]struct {
		file string
		want string // empty: refused
	}{
		"hex":               {strings.Repeat("0a", 32), strings.Repeat("\x0a", 32)},
		"hex, newline":      {strings.Repeat("0A", 32) + "\n", strings.Repeat("\x0a", 32)},
		"longer hex":        {strings.Repeat("0a", 33) + "\r\n", strings.Repeat("\x0a", 33)},
		"63 hex digits":     {strings.Repeat("a", 63), strings.Repeat("a", 63)},
		"odd hex":           {strings.Repeat("a", 65), strings.Repeat("a", 65)},
		"raw":               {raw, raw},
		"raw, newline":      {raw + "\n\n", raw},
		"31 bytes":          {raw[1:], ""},
		"31 and newline":    {raw[1:] + "\n", ""},
		"nothing":           {"", ""},
		"raw with controls": {strings.Repeat("\x00\n\xff", 11), strings.Repeat("\x00\n\xff", 11)},
	} {
		key, err := ParseKey([]byte(c.file))
		if string(key) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %s, %v", name, hex.EncodeToString(key), err)
		}
	}
	if _, err := NewLinks(make([]byte, 31)); err == nil {
		t.Error("31 bytes are taken")
	}
}

// Whatever comes in: no panic, and what opens is what was minted.
func FuzzOpen(f *testing.F) {
	l := vectorLinks(f)
	for _, v := range vectors {
		f.Add(v.token)
		f.Add(v.token[:len(v.token)-3])
	}
	f.Add("....")
	f.Add(sign(l, "1.YWxpY2U.99999999999"))
	f.Fuzz(func(t *testing.T, token string) {
		account, scope, err := l.Open(token, time.Unix(0, 0))
		if err != nil {
			if err != ErrBadToken || account != "" {
				t.Errorf("%q, %v", account, err)
			}
			// Signed well, a body opens or is refused for itself; it never panics.
			_, _, _ = l.Open(sign(l, token), time.Unix(0, 0))
			return
		}
		parts := strings.Split(token, ".")
		if !strings.HasPrefix(token, versions[scope]+".") || len(parts) != 4 || sign(l, strings.Join(parts[:3], ".")) != token {
			t.Errorf("%q opens as %q", token, account)
		}
	})
}
