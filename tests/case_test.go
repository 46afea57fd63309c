package tests

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseCase(t *testing.T) {
	const text = `What it shows.
-- toml --
[identity]
-- dialog --
login: alice@client-a.example
mail: alice@client-a.example
rcpt: bob@remote.example
rcpt-refused: refused@remote.example
repeat: 20-22
    From: a@b.example
      folded

    .body
want: 550 5.7.1 [identity.header_from]

# a remark
mail: <>
rcpt: x@remote.example
rset:
advance: 61s
local: www-data@submit.host.example
rcpt: bob@remote.example
want: held [limit.minute]
`
	got, err := ParseCase([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := &Case{
		About: "What it shows.", TOML: "[identity]\n",
		Steps: []Step{
			{Line: 1, Verb: "login", Arg: "alice@client-a.example"},
			{Line: 2, Verb: "message", Message: &Message{
				Sender: "alice@client-a.example", Repeat: 3, First: 20,
				Rcpts: []Rcpt{{Addr: "bob@remote.example"}, {Addr: "refused@remote.example", Refused: true}},
				Text:  []byte("From: a@b.example\r\n  folded\r\n\r\n.body\r\n"),
				Want:  Want{Code: 550, Enhanced: "5.7.1", Rule: "identity.header_from"},
			}},
			{Line: 13, Verb: "message", Message: &Message{
				Repeat: 1, First: 1, Rcpts: []Rcpt{{Addr: "x@remote.example"}}, Abandon: "rset",
				Text: []byte("From: \r\nTo: x@remote.example\r\nSubject: A word\r\n\r\nGood morning.\r\n"),
			}},
			{Line: 16, Verb: "advance", Arg: "61s"},
			{Line: 17, Verb: "message", Message: &Message{
				Sender: "www-data@submit.host.example", Local: true, Repeat: 1, First: 1, Rcpts: []Rcpt{{Addr: "bob@remote.example"}},
				Text: []byte("From: www-data@submit.host.example\r\nTo: bob@remote.example\r\nSubject: A word\r\n\r\nGood morning.\r\n"),
				Want: Want{Code: 250, Rule: "limit.minute", Held: true},
			}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !got.Uses("advance") || got.Uses("kill") {
		t.Errorf("uses: advance %v, kill %v, want true, false", got.Uses("advance"), got.Uses("kill"))
	}
}

func TestParseCaseFaults(t *testing.T) {
	for text, want := range map[string]string{
		"login: a":                                             "sentence before",
		"x\n-- dialog --\nmail: a":                             "line 1: want, rset or helo is missing",
		"x\n-- dialog --\nmail: a\nwant: 250":                  "line 2: message without rcpt",
		"x\n-- dialog --\nrcpt: a":                             `"rcpt" between`,
		"x\n-- dialog --\nmail: a\nlogin: b":                   `"login" within`,
		"x\n-- dialog --\n    Subject: a":                      "text before mail",
		"x\n-- dialog --\nhello":                               "VERB: ARGUMENT",
		"x\n-- dialog --\nadvance: 3x":                         "unknown unit",
		"x\n-- dialog --\nblock: account:a":                    "SUBJECT DURATION",
		"x\n-- dialog --\nmail: a\nrepeat: no":                 "invalid syntax",
		"x\n-- dialog --\nmail: a\nrcpt: b\nwant: 550 4.7 [x]": "CODE ENHANCED",
		"x\n-- tomml --\n":                                     "want toml or dialog",
	} {
		if _, err := ParseCase([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
}
