package notify

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Report gives the local MTA a mail that somebody else has written: a report on a
// message, with the null sender (RFC 3464 2). text is called with the value of
// NoticeField, by which Ours knows it again. It makes one try; Lasting says of its
// error that another one cannot help.
func (n *Notifier) Report(ctx context.Context, now time.Time, to string, text func(value string) []byte) error {
	to, err := mailbox(to)
	if err != nil {
		return permanent{fmt.Errorf("report: %w", err)}
	}
	set := n.set.Load()
	ctx, cancel := context.WithTimeout(ctx, set.Timeout)
	defer cancel()
	m, end, err := dialMTA(ctx, set.SMTP, n.opts.Host)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	defer end()
	taken, _, err := m.begin("", []string{to})
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := m.data(text(n.nonces.make(now, taken))); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// Lasting says that an error of Report is for ever.
func Lasting(err error) bool {
	var lasting permanent
	return errors.As(err, &lasting)
}
