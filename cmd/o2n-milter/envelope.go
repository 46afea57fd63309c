package main

import (
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"o2n-milter/replay"
)

// envelopeFlags are the flags that say who sends a message to whom.
type envelopeFlags struct {
	login, client, from string
	rcpts               []string
}

func (f *envelopeFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.login, "login", "", "SASL login that sends")
	c.Flags().StringVar(&f.client, "client", "", "`IP` address of the client")
	c.Flags().StringVar(&f.from, "from", "", "envelope sender (default Return-Path, else the login)")
	c.Flags().StringArrayVar(&f.rcpts, "rcpt", nil, "envelope recipient, may be repeated")
}

// read is the envelope; a flag that was not given leaves it to the message.
func (f *envelopeFlags) read(cmd *cobra.Command) (replay.Envelope, error) {
	e := replay.Envelope{}
	for _, rcpt := range f.rcpts {
		e.Recipients = append(e.Recipients, bare(rcpt))
	}
	if cmd.Flags().Changed("login") {
		e.Login = &f.login
	}
	if cmd.Flags().Changed("from") {
		sender := bare(f.from)
		e.Sender = &sender
	}
	if f.client == "" {
		return e, nil
	}
	var err error
	if e.Client, err = netip.ParseAddr(f.client); err != nil {
		return e, exit(exitUsage, "--client %q: no IP address; want 192.0.2.7 or 2001:db8::1", f.client)
	}
	return e, nil
}

// bare is an address as milters are told it: SMTP has it in brackets, and <> for none.
func bare(path string) string {
	if inner, ok := strings.CutPrefix(path, "<"); ok {
		return strings.TrimSuffix(inner, ">")
	}
	return path
}
