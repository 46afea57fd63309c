package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// play sends letters through the door, one after the other, each at its time or, in a
// hurry, at once. What became of them the journal has been told by then.
func (d *demo) play(ctx context.Context, letters []letter) error {
	start := time.Now()
	for i := range letters {
		pause := letters[i].at - time.Since(start)
		if d.Hurry {
			pause = 0
		}
		if err := d.wait(ctx, time.After(pause)); err != nil {
			return err
		}
		if err := d.send(&letters[i]); err != nil {
			return fmt.Errorf("%s: %w", letters[i].what, err)
		}
	}
	return nil
}

// send is a mail program: one session, one message. A refusal is no error.
func (d *demo) send(l *letter) error {
	from := l.from
	from.letter = l
	conn, err := d.pipes.dial(from)
	if err != nil {
		return err
	}
	client := smtp.NewClient(conn)
	defer client.Close()
	if l.login != "" {
		if err := client.Auth(sasl.NewPlainClient("", l.login, "any will do")); err != nil {
			return err
		}
	}
	err = client.SendMail(l.sender, l.recipients, strings.NewReader(string(crlf(l.text))))
	if reply := (*smtp.SMTPError)(nil); errors.As(err, &reply) {
		err = nil
	}
	return errors.Join(err, client.Quit())
}

// crlf is a text as it goes over the wire.
func crlf(text string) []byte { return []byte(strings.ReplaceAll(text, "\n", "\r\n")) }
