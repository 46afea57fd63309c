package bypass

import "testing"

// FuzzHeader: whatever header passes, no reader takes it for somebody else's.
func FuzzHeader(f *testing.F) {
	for _, header := range []string{
		"From: alice@client-a.example\r\n", "From: \"ceo@bank.example\" <alice@client-a.example>\r\n", "From: =?utf-8?Q?ceo=40bank.example?= =?utf-8?Q?.client-a.example?=\r\n",
		"From: alice@client-a.example x y.bank.example\r\n", "From: \"Boss <ceo\r\n @bank.example>\" <alice@client-a.example>\r\n", "Sender: ceo@bank.example\r\nFrom: g: alice@client-a.example;\r\n",
		"From: =?utf-8?B?Y2VvQGJhbmsuZXhhbXBsZQ=LmNsaWVudC1hLmV4YW1wbGU=?=\r\n", "From : alice@client-a.example\r\nReply-To: <@bank.example:alice@client-a.example>\r\n",
	} {
		f.Add([]byte(header))
	}
	engine := newJudge(f).engine
	f.Fuzz(func(t *testing.T, header []byte) {
		j := &judge{t, engine}
		raw := split(t, header)
		if why := j.tryHeader(raw.Fields, nil).hole(); why != "" {
			t.Errorf("%q passes: %s", header, why)
		}
	})
}

// FuzzLetter: no style sheet is too much to be read.
func FuzzLetter(f *testing.F) {
	for _, css := range hidingStyles {
		f.Add(css)
	}
	engine := newJudge(f).engine
	f.Fuzz(func(t *testing.T, css string) { (&judge{t, engine}).hasWayOut(letter(css, anchor)) })
}
