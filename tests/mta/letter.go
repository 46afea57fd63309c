package mta

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/emersion/go-milter"
)

// Letter is a plain message of a login, or without one from a client.
type Letter struct {
	Client, Login, Sender string
	Recipients            []string
	Header                []string // lines
	Body                  string
	QueueID               string // empty: one and the same
}

// postfixMacros are what Postfix 3.7 sends unless the filter wants others (postconf(5),
// milter_mail_macros and so on). It sends them before the command, also of one that the
// filter does not want to see; EOH's come with each field too, EOM's with each piece of a body.
var postfixMacros = map[milter.Stage][]string{
	milter.StageConnect:  {"j", "{daemon_name}", "{daemon_addr}", "v", "_", "{client_addr}", "{client_name}"},
	milter.StageMailFrom: {"i", "{auth_type}", "{auth_authen}", "{auth_author}", "{mail_addr}", "{mail_host}", "{mail_mailer}"},
	milter.StageRcptTo:   {"i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"},
	milter.StageData:     {"i"},
	milter.StageEOH:      {"i"},
	milter.StageEOM:      {"i"},
}

// Connect tells the filter of the client.
func (f *Filter) Connect(name, client string, port uint16) error {
	err := f.announce('C', milter.StageConnect, func(macro string) string {
		switch macro {
		case "j":
			return Host
		case "{daemon_name}":
			return "smtpd"
		case "{daemon_addr}":
			return "127.0.0.1"
		case "v":
			return "Postfix 3.7.11"
		case "_":
			return name + " [" + client + "]"
		case "{client_addr}":
			return client
		case "{client_name}":
			return name
		}
		return ""
	})
	if err != nil {
		return err
	}
	data := binary.BigEndian.AppendUint16(append(CStrings(name), '4'), port)
	_, err = f.Event('C', append(data, CStrings(client)...), milter.OptNoConnect, milter.OptNoConnReply)
	return err
}

// Hello is the client's EHLO.
func (f *Filter) Hello(name string) error {
	_, err := f.Event('H', CStrings(name), milter.OptNoHelo, milter.OptNoHeloReply)
	return err
}

// announce sends the macros of a stage that have a value.
func (f *Filter) announce(command byte, stage milter.Stage, value func(macro string) string) error {
	names, asked := f.macros[stage]
	if !asked {
		names = postfixMacros[stage]
	}
	list := make([]string, 0, 16)
	for _, name := range names {
		if v := value(name); v != "" {
			list = append(list, name, v)
		}
	}
	return f.Macros(command, list...)
}

// Deliver sends the letter in this session and returns the verdict. The first refusal,
// of a command or at the end, is the verdict.
func (f *Filter) Deliver(l Letter) (Outcome, error) {
	d := delivery{f, l}
	if d.QueueID == "" {
		d.QueueID = "4T00001"
	}
	out, err := d.verdict()
	if err == nil {
		err = f.Send('A', nil) // Postfix: after every message
	}
	return out, err
}

func (d *delivery) verdict() (Outcome, error) {
	for _, part := range []func() error{d.mail, d.recipients, d.data, d.header, d.body, d.end} {
		err := part()
		if no, is := errors.AsType[refusal](err); is {
			return Outcome{Reply: no.Reply}, nil
		}
		if err != nil {
			return Outcome{}, err
		}
	}
	return d.Answer()
}

// refusal is the answer to a command that is not let through.
type refusal struct{ Reply }

func (r refusal) Error() string { return r.String() }

// delivery is a letter on its way.
type delivery struct {
	*Filter
	Letter
}

var (
	toMail   = event{'M', milter.StageMailFrom, milter.OptNoMailFrom, milter.OptNoMailReply}
	toRcpt   = event{'R', milter.StageRcptTo, milter.OptNoRcptTo, milter.OptNoRcptReply}
	toData   = event{'T', milter.StageData, milter.OptNoData, milter.OptNoDataReply}
	toField  = event{'L', milter.StageEOH, milter.OptNoHeaders, milter.OptNoHeaderReply}
	toHeader = event{'N', milter.StageEOH, milter.OptNoEOH, milter.OptNoEOHReply}
	toBody   = event{'B', milter.StageEOM, milter.OptNoBody, milter.OptNoBodyReply}
)

// step is a command with its macros, which must be let through.
func (d *delivery) step(e event, data string, macro func(name string) string) error {
	if err := d.announce(e.code, e.stage, macro); err != nil {
		return err
	}
	r, err := d.event(e, data)
	if err == nil && r.Code != 250 {
		return refusal{r}
	}
	return err
}

func (d *delivery) mail() error {
	return d.step(toMail, "<"+d.Sender+">\x00", func(macro string) string {
		switch macro {
		case "{auth_type}":
			if d.Login != "" {
				return "PLAIN"
			}
		case "{auth_authen}":
			return d.Login
		case "{mail_addr}":
			return d.Sender
		case "{mail_host}":
			return domainOf(d.Sender)
		case "{mail_mailer}":
			return "smtp"
		}
		return "" // the queue id is not known yet
	})
}

func (d *delivery) recipients() error {
	for i, rcpt := range d.Recipients {
		err := d.step(toRcpt, "<"+rcpt+">\x00", func(macro string) string {
			switch macro {
			case "i":
				if i > 0 { // Postfix: from the second one on
					return d.QueueID
				}
			case "{rcpt_addr}":
				return rcpt
			case "{rcpt_host}":
				return domainOf(rcpt)
			case "{rcpt_mailer}":
				return "smtp"
			}
			return ""
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// data is the command, which came with version 4 of the protocol: a filter that
// answers an older one is not shown it.
func (d *delivery) data() error {
	if d.version < 4 {
		return nil
	}
	return d.step(toData, "", d.queueID)
}

func (d *delivery) header() error {
	for _, line := range d.Header {
		name, value, _ := strings.Cut(line, ": ")
		if err := d.step(toField, name+"\x00"+value+"\x00", d.queueID); err != nil {
			return err
		}
	}
	return d.step(toHeader, "", d.queueID)
}

// body goes in pieces. No filter of ours asks to say when it has enough (SKIP).
func (d *delivery) body() error {
	for rest := d.Body; rest != ""; {
		piece := rest[:min(len(rest), bodyChunk)]
		rest = rest[len(piece):]
		if err := d.step(toBody, piece, d.queueID); err != nil {
			return err
		}
	}
	return nil
}

func (d *delivery) end() error {
	if err := d.announce('E', milter.StageEOM, d.queueID); err != nil {
		return err
	}
	return d.Send('E', nil)
}

func (d *delivery) queueID(macro string) string {
	if macro == "i" {
		return d.QueueID
	}
	return ""
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
