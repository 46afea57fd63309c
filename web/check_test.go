package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/rules"
	"o2n-milter/web/desk"
)

const question = `{"client":"192.0.2.7","login":"alice@client-a.example","sender":"a@b.example","recipients":["x@remote.example"],` +
	`"header":[{"name":"RnJvbQ==","value":"/w=="}],"body":"aGk=","size":20}`

func TestCheck(t *testing.T) {
	d := newOffice(t)
	if w := serve(d, "POST", "/v1/check", question); w.Code != http.StatusNotFound {
		t.Errorf("nobody judges: %d %s", w.Code, w.Body)
	}
	var asked desk.CheckMail
	d.desk.Try = func(_ context.Context, in desk.CheckMail) (rules.Verdict, error) {
		asked = in
		return rules.Verdict{Action: rules.Tempfail, Rule: "limit.hour", Code: 451, Enhanced: "4.7.1", Text: "later", Judged: true, Err: errors.New("ours")}, nil
	}
	w := serve(d, "POST", "/v1/check", question)
	want := `{"action":"tempfail","rule":"limit.hour","reply":"451 4.7.1 later","judged":true,"evidence":[],"charges":[],"windows":[],"error":"ours"}`
	if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != want {
		t.Errorf("%d %s", w.Code, got)
	}
	mail := desk.CheckMail{
		Client: "192.0.2.7", Login: "alice@client-a.example", Sender: "a@b.example", Recipients: []string{"x@remote.example"},
		Header: []desk.HeaderField{{Name: []byte("From"), Value: []byte{0xff}}}, Body: []byte("hi"), Size: 20,
	}
	if diff := cmp.Diff(mail, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// A question has room for a whole message, and not for more.
func TestCheckIsBounded(t *testing.T) {
	d := newOffice(t)
	d.desk.Try = func(_ context.Context, in desk.CheckMail) (rules.Verdict, error) {
		return rules.Verdict{Action: rules.Accept, Rule: "none"}, nil
	}
	frame := len(`{"login":""}`)
	for size, code := range map[int]int{mostMail: http.StatusOK, mostMail + 1: http.StatusBadRequest} {
		body := `{"login":"` + strings.Repeat("a", size-frame) + `"}`
		if w := serve(d, "POST", "/v1/check", body); w.Code != code {
			t.Errorf("%d bytes: %d; want %d", size, w.Code, code)
		}
	}
	d.desk.Try = func(context.Context, desk.CheckMail) (rules.Verdict, error) {
		return rules.Verdict{}, errors.New(`client "x": no IP address`)
	}
	for body, want := range map[string]string{`{"client":"x"}`: "no IP address", `{"clients":"x"}`: "unknown field", "": "EOF", `{"body":"?"}`: "base64"} {
		if w := serve(d, "POST", "/v1/check", body); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s; want %s", body, w.Code, w.Body, want)
		}
	}
}
