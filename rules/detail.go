package rules

import "o2n-milter/internal/appendjson"

// appendJSON writes what encoding/json writes of the detail: every message makes one.
func (d *Detail) appendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendText(b, "reply", d.Reply)
	b = appendText(b, "queue_id", d.QueueID)
	b = appendText(b, "client_name", d.ClientName)
	b = appendText(b, "login", d.Login)
	b = appendText(b, "host", d.Host)
	b = appendTexts(b, "authors", d.Authors)
	b = appendTexts(b, "reply_to", d.ReplyTo)
	b = appendNumber(b, "senders", d.Senders)
	b = appendText(b, "script", d.Script)
	b = appendNumber(b, "visible", d.Visible)
	b = appendNumber(b, "duplicates", d.Duplicates)
	b = appendNumber(b, "envelope_duplicates", d.EnvelopeDuplicates)
	b = appendText(b, "message_id", d.MessageID)
	b = appendText(b, "mail_subject", d.Subject)
	b = appendjson.Int(appendjson.Key(b, "size"), d.Size)
	b = appendText(b, "score", d.Score)
	b = appendList(appendjson.Key(b, "evidence"), d.Evidence, appendEvidence)
	b = appendList(appendjson.Key(b, "charges"), d.Charges, appendCharge)
	if len(d.Windows) > 0 {
		b = appendWindows(appendjson.Key(b, "windows"), d.Windows)
	}
	if d.Campaign != nil {
		b = appendCampaign(appendjson.Key(b, "campaign"), d.Campaign)
	}
	if len(d.Config) > 0 {
		b = appendList(appendjson.Key(b, "config"), d.Config, appendLine)
	}
	return append(appendText(b, "version", d.Version), '}')
}

func appendEvidence(b []byte, ev *Evidence) []byte {
	b = appendString(append(b, '{'), "rule", ev.Rule)
	b = appendString(b, "fact", ev.Fact)
	b = appendString(b, "got", ev.Got)
	b = appendString(b, "want", ev.Want)
	b = appendBool(b, "shadow", ev.Shadow)
	return append(appendText(b, "exempt", ev.Exempt), '}')
}

// appendCharge and appendWindows write keys with what stands around them: half of most
// records is theirs.
func appendCharge(b []byte, c *Charge) []byte {
	b = appendjson.String(append(b, `{"limit":`...), c.Limit)
	b = appendjson.String(append(b, `,"subject":`...), c.Subject)
	b = appendjson.String(append(b, `,"unit":`...), string(c.Unit))
	return append(appendjson.Int(append(b, `,"cost":`...), c.Cost), '}')
}

func appendWindows(b []byte, list []Window) []byte {
	b = append(b, '[')
	free, end := 0, 0 // where the time of the last one stands
	for i := range list {
		w := &list[i]
		b = appendjson.String(append(appendjson.Next(b), `{"limit":`...), w.Limit)
		if w.Subject != "" {
			b = appendjson.String(append(b, `,"subject":`...), w.Subject)
		}
		b = appendjson.String(append(b, `,"unit":`...), string(w.Unit))
		b = appendjson.String(append(b, `,"window":`...), w.Window)
		b = appendjson.Int(append(b, `,"used":`...), w.Used)
		b = appendjson.Int(append(b, `,"max":`...), w.Max)
		b = append(b, `,"next_free":`...)
		begin := len(b)
		if i > 0 && w.NextFree == list[i-1].NextFree { // as most are: there is room now
			b = append(b, b[free:end]...)
		} else {
			b = appendjson.Time(b, w.NextFree)
		}
		free, end = begin, len(b)
		if w.Shadow {
			b = append(b, `,"shadow":true`...)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendCampaign(b []byte, c *Campaign) []byte {
	b = appendString(append(b, '{'), "id", c.ID)
	b = appendString(b, "subject", c.Subject)
	b = appendjson.Int(appendjson.Key(b, "recipients"), c.Recipients)
	return append(appendTexts(b, "lacks", c.Lacks), '}')
}

func appendLine(b []byte, l *Line) []byte {
	b = appendString(append(b, '{'), "file", l.File)
	b = appendjson.Int(appendjson.Key(b, "line"), l.Line)
	b = appendString(b, "key", l.Key)
	return append(appendString(b, "value", l.Value), '}')
}

// appendList writes a list; one that is nil is null.
func appendList[T any](b []byte, list []T, one func([]byte, *T) []byte) []byte {
	if list == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i := range list {
		b = one(appendjson.Next(b), &list[i])
	}
	return append(b, ']')
}

func appendString(b []byte, key, s string) []byte {
	return appendjson.String(appendjson.Key(b, key), s)
}

func appendBool(b []byte, key string, is bool) []byte {
	if is {
		return append(appendjson.Key(b, key), "true"...)
	}
	return append(appendjson.Key(b, key), "false"...)
}

// appendText leaves an empty text out, as omitempty does; appendTexts and appendNumber
// an empty list and zero.
func appendText(b []byte, key, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(b, key, s)
}

func appendTexts(b []byte, key string, list []string) []byte {
	if len(list) == 0 {
		return b
	}
	return appendjson.Strings(appendjson.Key(b, key), list)
}

func appendNumber(b []byte, key string, n int) []byte {
	if n == 0 {
		return b
	}
	return appendjson.Int(appendjson.Key(b, key), n)
}
