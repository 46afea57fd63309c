package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"

	"o2n-milter/message"
	"o2n-milter/rules"
	"o2n-milter/web/desk"
)

// mostHeader bounds the header of a message that the daemon is asked about, in octets.
const mostHeader = 2 << 20

// checkLive asks the daemon what would become of a message now.
func checkLive(cl *client, m *rules.Mail) (checkView, error) {
	in := desk.CheckMail{Login: m.Login, Sender: m.Sender, Body: m.Body, Size: m.Size}
	if m.Client.IsValid() {
		in.Client = m.Client.String()
	}
	for _, r := range m.Recipients {
		in.Recipients = append(in.Recipients, r.Address)
	}
	size := 0
	for _, f := range m.Header {
		size += len(f.Name) + len(f.Value)
		in.Header = append(in.Header, desk.HeaderField{Name: []byte(f.Name), Value: []byte(f.Value)})
	}
	if size > mostHeader {
		return checkView{}, exit(exitInput, "a header of %d octets; want at most %d", size, mostHeader)
	}
	var c desk.Checked
	if err := cl.call("/v1/check", in, &c); err != nil {
		return checkView{}, err
	}
	return checkView{
		Action: c.Action, Rule: c.Rule, Reply: c.Reply, Evidence: c.Evidence, Charges: c.Charges, Windows: c.Windows,
		judged: c.Judged, fault: c.Error,
	}, nil
}

// tryLive is the other end: what the rules in force say of the message.
func tryLive(engine *atomic.Pointer[rules.Engine]) func(context.Context, desk.CheckMail) (rules.Verdict, error) {
	return func(ctx context.Context, in desk.CheckMail) (rules.Verdict, error) {
		m := &rules.Mail{
			Login: in.Login, Sender: in.Sender, Body: in.Body[:min(len(in.Body), rules.MaxBody)], Size: in.Size, CanHold: true,
		}
		if in.Client != "" {
			var err error
			if m.Client, err = netip.ParseAddr(in.Client); err != nil {
				return rules.Verdict{}, fmt.Errorf("client %.60q: no IP address", in.Client)
			}
			m.Client = m.Client.Unmap()
		}
		for _, address := range in.Recipients {
			m.Recipients = append(m.Recipients, rules.Recipient{Address: address})
		}
		for _, f := range in.Header {
			m.Header = append(m.Header, message.Field{Name: string(f.Name), Value: string(f.Value)})
		}
		return engine.Load().Try(ctx, m), nil
	}
}
