package main

import (
	"fmt"
	"net/netip"
	"strings"

	"o2n-milter/demo"
	"o2n-milter/message"
)

// send plays an MTA: it gives the message to the filter as often as the sample
// says, in one session, and returns the last answer.
func send(addr string, s sample) (string, error) {
	client := demo.Client{Addr: netip.MustParseAddrPort("192.0.2.7:40000"), Helo: "customer.example"}
	if s.local { // Postfix shows sendmail(1) so
		client = demo.Client{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Helo: "localhost"}
	}
	filter, err := demo.Dial(addr, "mx.example", client)
	if err != nil {
		return "", err
	}
	defer filter.Close()
	var answer demo.Answer
	for range max(1, s.times) {
		if answer, err = transaction(filter, s); err != nil {
			return "", err
		}
	}
	return answerText(answer), nil
}

// transaction gives the filter one message, which no rule of ours refuses before its
// end.
func transaction(filter *demo.Filter, s sample) (demo.Answer, error) {
	const queueID = "D000000001"
	if _, err := filter.Mail(s.sender, s.login); err != nil {
		return demo.Answer{}, err
	}
	for _, r := range s.rcpts {
		if _, err := filter.Rcpt(r, queueID); err != nil {
			return demo.Answer{}, err
		}
	}
	raw, err := message.Split(strings.NewReader(s.header+"\n\nhello\n"), 1<<20)
	if err != nil {
		return demo.Answer{}, err
	}
	answer, err := filter.End(raw.Fields, raw.Body, queueID)
	if err != nil {
		return demo.Answer{}, err
	}
	return answer, filter.Abort()
}

func answerText(a demo.Answer) string {
	switch {
	case a.Held != "":
		return "held: " + a.Held
	case a.Text != "":
		return fmt.Sprintf("%d %s", a.Code, a.Text)
	}
	return "250 passes"
}
