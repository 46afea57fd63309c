package rules

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

// mostReply bounds a whole reply: RFC 5321 4.5.3.1.5 allows 512 octets with CRLF,
// and the MTA may put the recipient in front of the text.
const mostReply = 480

// reply is what the sender of a refused message reads. Placeholders are {max},
// {window}, {seconds}, {help}, {link} and {bulk}; nothing that the message says ever
// stands here.
type reply struct {
	detail string // RFC 3463 subject and detail; the action sets the class
	en, fr string
}

// replies is the one table of texts, by rule id; limits by unit. {help} is the
// line "See URL." when reply.help_url is set, {bulk} is reply.bulk_service.
var replies = map[string]reply{
	"message.malformed": {"6.0",
		"This message cannot be read: its header is broken. {help}",
		"Ce message est illisible : son en-tête est cassé. {help}"},
	"message.too_complex": {"3.0",
		"This message is too complex to be checked. {help}",
		"Ce message est trop complexe pour être vérifié. {help}"},
	"accounts.unknown": {"7.1",
		"This login may not send mail here. {help}",
		"Cet identifiant ne peut pas envoyer de courrier ici. {help}"},
	"accounts.unavailable": {"3.0",
		"Your account cannot be looked up now, please try again later.",
		"Votre compte ne peut pas être vérifié pour l'instant, réessayez plus tard."},
	"identity.malformed": {"7.1",
		"The From field must hold one valid address of your account, and stand once. {help}",
		"Le champ From doit contenir une adresse valide de votre compte, une seule fois. {help}"},
	"identity.header_from": {"7.1",
		"The From address does not belong to your account or its domains. {help}",
		"L'adresse From n'appartient pas à votre compte ni à ses domaines. {help}"},
	"identity.sender": {"7.1",
		"The Sender address does not belong to your account or its domains. {help}",
		"L'adresse Sender n'appartient pas à votre compte ni à ses domaines. {help}"},
	"identity.envelope_from": {"7.1",
		"The envelope sender does not belong to your account or its domains. {help}",
		"L'expéditeur d'enveloppe n'appartient pas à votre compte ni à ses domaines. {help}"},
	"identity.reply_to": {"7.1",
		"The Reply-To address does not belong to your account or its domains. {help}",
		"L'adresse Reply-To n'appartient pas à votre compte ni à ses domaines. {help}"},
	"identity.display_name": {"7.1",
		"The sender's name shows an address of another domain. {help}",
		"Le nom de l'expéditeur montre une adresse d'un autre domaine. {help}"},
	"recipients.visible": {"5.3",
		"Too many recipients in To, Cc and Bcc: at most {max} are allowed. {help}",
		"Trop de destinataires dans To, Cc et Bcc : {max} au plus. {help}"},
	"recipients.envelope": {"5.3",
		"Too many recipients for one message: at most {max} are allowed. {help}",
		"Trop de destinataires pour un message : {max} au plus. {help}"},
	"recipients.duplicate": {"5.3",
		"The recipient list holds duplicates, please remove them. {help}",
		"La liste de destinataires contient des doublons, retirez-les. {help}"},
	"block.active": {"7.1",
		"Sending is blocked for this account, see {link}",
		"L'envoi est bloqué pour ce compte, voir {link}"},
	"bulk.unsubscribe": {"7.1",
		"A letter to {max} people or more, even one by one, needs a way to unsubscribe: a link or \"reply STOP\" in the text, " +
			"or the header List-Unsubscribe: <mailto:...>, <https://...> {help}",
		"Une lettre à {max} personnes ou plus, même une à une, doit permettre de se désabonner : un lien ou \"répondez STOP\" " +
			"dans le texte, ou l'en-tête List-Unsubscribe: <mailto:...>, <https://...> {help}"},
	"bulk.one_click": {"7.1",
		"Mail to many people needs one-click unsubscription (RFC 8058). Add both and sign them: List-Unsubscribe: " +
			"<https://...> and List-Unsubscribe-Post: List-Unsubscribe=One-Click {help}",
		"Un envoi en nombre doit offrir le désabonnement en un clic (RFC 8058). Ajoutez et signez : List-Unsubscribe: " +
			"<https://...> et List-Unsubscribe-Post: List-Unsubscribe=One-Click {help}"},
	"bulk.reason": {"7.1",
		"Mail to many people must say why they get it. Add a sentence to the text, such as: You receive this message because ... {help}",
		"Un envoi en nombre doit dire pourquoi on le reçoit. Ajoutez une phrase au texte : Vous recevez ce message car ... {help}"},
	"bulk.volume": {"7.1",
		"This letter goes to more than {max} people: bulk mail belongs to {bulk} {help}",
		"Cette lettre va à plus de {max} personnes : les envois en nombre passent par {bulk} {help}"},
	"bulk.pace": {"7.1",
		"Too much bulk mail: {max} messages in {window} are allowed. Please try again in {seconds} seconds. {help}",
		"Trop de courrier en nombre : {max} messages en {window} au plus. Réessayez dans {seconds} secondes. {help}"},
	"content.score": {"7.1",
		"This message looks like spam, please change its content. {help}",
		"Ce message ressemble à du spam, changez son contenu. {help}"},
	"content.unavailable": {"3.0",
		"The content of your message cannot be checked now, please try again later.",
		"Le contenu de votre message ne peut pas être vérifié pour l'instant, réessayez plus tard."},
	"limit.messages": {"7.1",
		"Too many messages: {max} in {window} are allowed. Please try again in {seconds} seconds. {help}",
		"Trop de messages : {max} en {window} au plus. Réessayez dans {seconds} secondes. {help}"},
	"limit.recipients": {"7.1",
		"Too many recipients: {max} in {window} are allowed. Please try again in {seconds} seconds. {help}",
		"Trop de destinataires : {max} en {window} au plus. Réessayez dans {seconds} secondes. {help}"},
	"limit.new_recipients": {"7.1",
		"Too many new recipients: {max} in {window} are allowed. Please try again in {seconds} seconds. {help}",
		"Trop de nouveaux destinataires : {max} en {window} au plus. Réessayez dans {seconds} secondes. {help}"},
	"limit.bytes": {"7.1",
		"Too much mail: {max} bytes in {window} are allowed. Please try again in {seconds} seconds. {help}",
		"Trop de courrier : {max} octets en {window} au plus. Réessayez dans {seconds} secondes. {help}"},
	"limit.alone": {"7.1",
		"This message alone exceeds a limit of {max} in {window}. {help}",
		"Ce message dépasse à lui seul une limite de {max} en {window}. {help}"},
	"hold.full": {"7.1",
		"Too much of your mail is waiting to be sent already, please try again later. {help}",
		"Trop de vos messages attendent déjà d'être envoyés, réessayez plus tard. {help}"},
	"store.unavailable": {"3.0",
		"Your message cannot be checked now, please try again later.",
		"Votre message ne peut pas être vérifié pour l'instant, réessayez plus tard."},
	"internal.panic": {"3.0",
		"Internal error, please try again later.",
		"Erreur interne, réessayez plus tard."},
	"internal.overload": {"3.2",
		"Too much mail at once, please try again later.",
		"Trop de courrier à la fois, réessayez plus tard."},
}

// params fill the placeholders.
type params struct {
	max     int64
	window  time.Duration
	seconds int64
	unit    Unit
	alone   bool   // one message alone exceeds the limit's max
	link    string // where a blocked customer reads why
}

// reply is what the MTA is to answer: code, enhanced code and text. The action
// sets the class of both codes.
func (e *Engine) reply(action Action, id, decision string, p params) (code int, enhanced, text string) {
	if action <= Tag {
		return 250, "", ""
	}
	r := plainReplies[replyKey(id, p)]
	tail := " [" + id + " " + decision + "]"
	text = e.text(r, e.params(id, p), mostReply-len("550 5.7.1 ")-len(tail)) + tail
	switch action {
	case Tempfail:
		return 451, "4." + r.detail, text
	case Reject:
		return 550, "5." + r.detail, text
	}
	return 250, "", text
}

// replyKey is where a rule's text stands: its id, for limits the unit's.
func replyKey(id string, p params) string {
	switch {
	case !strings.HasPrefix(id, "limit."):
		return id
	case p.alone:
		return "limit.alone"
	}
	return "limit." + string(p.unit)
}

// params are p with the max that a rule without window goes by.
func (e *Engine) params(id string, p params) params {
	switch id {
	case "recipients.visible":
		p.max = int64(e.set.MaxVisible)
	case "recipients.envelope":
		p.max = int64(e.set.MaxEnvelope)
	case "bulk.unsubscribe":
		p.max = e.set.Bulk.Similar
	case "bulk.volume":
		p.max = e.set.Bulk.MaxCampaign
	}
	return p
}

// text is the reply in the configured language or both, on one line of printable
// ASCII. Where two languages do not fit, the first one stands alone.
func (e *Engine) text(r reply, p params, most int) string {
	if e.set.Language == "fr" {
		fr := e.fill(r.fr, "Voir ", p)
		return fr[:min(len(fr), most)]
	}
	text := e.fill(r.en, "See ", p)
	if e.set.Language == "en+fr" {
		if both := text + " / " + e.fill(r.fr, "Voir ", p); len(both) <= most {
			return both
		}
	}
	return text[:min(len(text), most)]
}

// fill puts what they stand for in place of the placeholders.
func (e *Engine) fill(text, see string, p params) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return strings.TrimSpace(plainASCII(b.String()))
		}
		name, after, _ := strings.Cut(rest, "}")
		b.WriteString(e.placeholder(name, see, p))
		text = after
	}
}

func (e *Engine) placeholder(name, see string, p params) string {
	switch name {
	case "max":
		return strconv.FormatInt(p.max, 10)
	case "window":
		return FormatDuration(p.window)
	case "seconds":
		return strconv.FormatInt(p.seconds, 10)
	case "link":
		return p.link
	case "bulk":
		return e.set.BulkService
	case "help":
		if e.set.HelpURL != "" {
			return see + e.set.HelpURL
		}
		return ""
	}
	return "{" + name + "}" // TestEveryReply finds it
}

// plainReplies are replies as they go on the wire.
var plainReplies = func() map[string]reply {
	plain := make(map[string]reply, len(replies))
	for id, r := range replies {
		plain[id] = reply{r.detail, plainASCII(r.en), plainASCII(r.fr)}
	}
	return plain
}()

// plainASCII drops accents and whatever else an MTA would garble (Sendmail turns
// UTF-8 into other letters).
func plainASCII(s string) string {
	if isPrintable(s) {
		return s
	}
	s, _, err := transform.String(transform.Chain(norm.NFD, runes.Remove(runes.In(unicode.Mn))), s)
	if err != nil {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
