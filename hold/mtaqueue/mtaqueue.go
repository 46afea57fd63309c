// Package mtaqueue works the queue of Postfix or Sendmail with the MTA's own
// tools, as root. It is for hold/agent alone.
//
// No shell is involved: tools are absolute paths that only root can change, with a
// list of arguments and an empty environment. Every id that comes in has passed
// ValidID. No message's header or body is ever read.
package mtaqueue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"o2n-milter/hold/wire"
)

// MTA is a queue. Safe for concurrent use.
type MTA interface {
	// Host says whose queue it is.
	Host() wire.Host
	// ValidID says whether an id is one that this MTA gives. Only such go to the
	// other methods.
	ValidID(id string) bool
	// List yields the messages of the queues that are wanted.
	List(ctx context.Context, wanted func(wire.Queue) bool, yield func(wire.Queued) error) error
	// Find says in which queue a message is.
	Find(id string) (wire.Queue, error)
	// Hold, Release and Delete do what hold.Agent says. Without an error the tools
	// were content, which Find has to confirm: both MTAs' tools pass over messages
	// that another process has in hand.
	Hold(ctx context.Context, ids []string) error
	Release(ctx context.Context, ids []string) error
	Delete(ctx context.Context, ids []string) error
}

// Where the MTAs have their configuration unless hold.config_directory says so.
const (
	postfixConfig  = "/etc/postfix/main.cf"
	sendmailConfig = "/etc/mail/sendmail.cf"
)

// Open finds the MTA and its tools. mta is postfix, sendmail or auto; config is the
// folder of a Postfix instance, or Sendmail's .cf file, or empty for the usual one.
func Open(ctx context.Context, mta, config string) (MTA, error) {
	if mta == "auto" {
		var err error
		if mta, err = guess(config); err != nil {
			return nil, err
		}
	}
	switch mta {
	case "postfix":
		return openPostfix(ctx, system, config)
	case "sendmail":
		return openSendmail(ctx, system, config)
	}
	return nil, fmt.Errorf("hold.mta: %q; want auto, postfix or sendmail", mta)
}

// guess tells a folder of Postfix from a file of Sendmail; without either it looks
// which of the two is configured.
func guess(config string) (string, error) {
	if config != "" {
		info, err := os.Stat(config)
		if err != nil {
			return "", fmt.Errorf("hold.config_directory: %w", err)
		}
		if info.IsDir() {
			return "postfix", nil
		}
		return "sendmail", nil
	}
	var there []string
	for mta, file := range map[string]string{"postfix": postfixConfig, "sendmail": sendmailConfig} {
		if _, err := os.Stat(file); err == nil {
			there = append(there, mta)
		}
	}
	switch len(there) {
	case 0:
		return "", fmt.Errorf("neither %s nor %s exists; want hold.mta and hold.config_directory", postfixConfig, sendmailConfig)
	case 1:
		return there[0], nil
	}
	return "", errors.New("both Postfix and Sendmail are configured here; want hold.mta to say which one holds the mail")
}

// clip bounds a text of the queue's and makes it valid UTF-8, as JSON wants.
func clip(s string) string {
	if len(s) > wire.MaxText {
		s = s[:wire.MaxText]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
