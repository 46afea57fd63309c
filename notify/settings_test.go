package notify

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state/memory"
)

func TestDefaults(t *testing.T) {
	got, err := Settings{}.complete("mx1.isp.example")
	want := &Settings{From: "o2n-milter@mx1.isp.example", SMTP: "127.0.0.1:25", Language: "en", Digest: 24 * time.Hour, Timeout: 30 * time.Second}
	if err != nil || cmp.Diff(want, got, cmp.Transformer("list", func(l []string) string { return strings.Join(l, " ") })) != "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestFaults(t *testing.T) {
	sixteen := make([]byte, 16)
	for name, tt := range map[string]struct {
		set  Settings
		want []string // none: good
	}{
		"all":         {Settings{Operator: ops, From: "a@isp.example", SMTP: "localhost:25", Language: "fr", Webhook: "https://a.example/", WebhookKey: sixteen, Exec: map[string][]string{Store: {"/bin/true", "x"}}}, nil},
		"operator":    {Settings{Operator: []string{"ops@isp.example", "ops"}}, []string{`notify.operator: "ops"`}},
		"from":        {Settings{From: "<>"}, []string{"notify.from"}},
		"smtp":        {Settings{SMTP: "localhost"}, []string{"notify.smtp"}},
		"language":    {Settings{Language: "de"}, []string{"notify.language"}},
		"digest":      {Settings{Digest: minDigest - 1}, []string{"notify.digest"}},
		"digest min":  {Settings{Digest: minDigest}, nil},
		"digest max":  {Settings{Digest: maxDigest}, nil},
		"digest more": {Settings{Digest: maxDigest + 1}, []string{"notify.digest"}},
		"timeout":     {Settings{Timeout: minTimeout - 1}, []string{"notify.timeout"}},
		"timeout min": {Settings{Timeout: minTimeout}, nil},
		"timeout max": {Settings{Timeout: maxTimeout}, nil},
		"too long":    {Settings{Timeout: maxTimeout + 1}, []string{"notify.timeout"}},
		"scheme":      {Settings{Webhook: "ftp://a.example/", WebhookKey: sixteen}, []string{"notify.webhook"}},
		"no host":     {Settings{Webhook: "https:///x", WebhookKey: sixteen}, []string{"notify.webhook"}},
		"user":        {Settings{Webhook: "https://u:p@a.example/", WebhookKey: sixteen}, []string{"notify.webhook"}},
		"key":         {Settings{Webhook: "https://a.example/", WebhookKey: sixteen[1:]}, []string{"notify.webhook: a key of 15 bytes"}},
		"exec event":  {Settings{Exec: map[string][]string{"party": {"/bin/true"}}}, []string{`notify.exec: "party"`}},
		"exec empty":  {Settings{Exec: map[string][]string{Block: {}}}, []string{"notify.exec"}},
		"exec path":   {Settings{Exec: map[string][]string{Block: {"true"}}}, []string{"notify.exec"}},
		"several":     {Settings{SMTP: "x", Language: "de", From: "x"}, []string{"notify.from", "notify.smtp", "notify.language"}},
	} {
		_, err := tt.set.complete("mx1")
		if (err == nil) != (len(tt.want) == 0) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err != nil {
			wantParts(t, err.Error(), tt.want...)
		}
	}
}

// TestConfigure: a faulty one changes nothing.
func TestConfigure(t *testing.T) {
	h := start(t, memory.New(), "mx1", Settings{Operator: ops})
	if err := h.Configure(Settings{Operator: []string{"nobody"}}); err == nil {
		t.Error("it was taken")
	}
	if got := h.set.Load().Operator; !cmp.Equal(got, ops) {
		t.Errorf("operators are %v", got)
	}
	if _, err := New(Options{Store: memory.New(), Log: slog.Default(), Now: time.Now, Host: "mx1"}, Settings{SMTP: "x"}); err == nil {
		t.Error("New takes a faulty one")
	}
	addresses := []string{"ops@Bücher.example"}
	if err := h.Configure(Settings{Operator: addresses}); err != nil || addresses[0] != "ops@Bücher.example" {
		t.Errorf("the caller's list is %v, %v", addresses, err)
	}
	if got := h.set.Load().Operator[0]; got != "ops@xn--bcher-kva.example" {
		t.Errorf("mail goes to %q", got)
	}
}

func TestHostName(t *testing.T) {
	for s, want := range map[string]string{
		"mx1.isp.example": "mx1.isp.example", "MX1": "mx1", "": "localhost", "--": "localhost", "a b/c%\r\n": "a-b-c", "web_1": "web-1",
	} {
		if got := hostName(s); got != want {
			t.Errorf("%q: %q; want %q", s, got, want)
		}
	}
}
