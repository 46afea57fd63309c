package main

import (
	"fmt"
	"strings"

	"github.com/emersion/go-milter"
)

// send plays an MTA: it gives the message to the filter as often as the sample
// says, in one session, and returns the last answer.
func send(addr string, s sample) (string, error) {
	client := milter.NewClientWithOptions("tcp", addr, milter.ClientOptions{
		ActionMask: milter.OptAddHeader | milter.OptChangeHeader | milter.OptQuarantine,
	})
	defer client.Close()
	session, err := client.Session()
	if err != nil {
		return "", err
	}
	defer session.Close()
	if err := connect(session, s); err != nil {
		return "", err
	}
	answer := ""
	for range max(1, s.times) {
		if answer, err = transaction(session, s); err != nil {
			return "", err
		}
	}
	return answer, nil
}

func connect(session *milter.ClientSession, s sample) error {
	port, host, ip := uint16(40000), "customer.example", "192.0.2.7"
	if s.local { // Postfix shows sendmail(1) so
		port, host, ip = 0, "localhost", "127.0.0.1"
	}
	if err := session.Macros(milter.CodeConn, "j", "mx.example"); err != nil {
		return err
	}
	if _, err := session.Conn(host, milter.FamilyInet, port, ip); err != nil {
		return err
	}
	_, err := session.Helo(host)
	return err
}

func transaction(session *milter.ClientSession, s sample) (string, error) {
	macros := []string{"{mail_addr}", s.sender}
	if s.login != "" {
		macros = append(macros, "{auth_type}", "PLAIN", "{auth_authen}", s.login)
	}
	if err := session.Macros(milter.CodeMail, macros...); err != nil {
		return "", err
	}
	if _, err := session.Mail(s.sender, nil); err != nil {
		return "", err
	}
	for _, r := range s.rcpts {
		if _, err := session.Rcpt(r, nil); err != nil {
			return "", err
		}
	}
	for line := range strings.SplitSeq(s.header, "\n") {
		name, value, _ := strings.Cut(line, ": ")
		if _, err := session.HeaderField(name, value); err != nil {
			return "", err
		}
	}
	if _, err := session.HeaderEnd(); err != nil {
		return "", err
	}
	if _, err := session.BodyChunk([]byte("hello\r\n")); err != nil {
		return "", err
	}
	changes, action, err := session.End()
	if err != nil {
		return "", err
	}
	if err := session.Abort(); err != nil { // Postfix does, after every message
		return "", err
	}
	return answerText(changes, action), nil
}

func answerText(changes []milter.ModifyAction, action *milter.Action) string {
	for _, c := range changes {
		if c.Code == milter.ActQuarantine {
			return "held: " + c.Reason
		}
	}
	if action.Code == milter.ActReplyCode {
		return fmt.Sprintf("%d %s", action.SMTPCode, strings.ReplaceAll(action.SMTPText, "%%", "%"))
	}
	return "250 passes"
}
