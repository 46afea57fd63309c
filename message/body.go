package message

// Body is what the body of a mail shows to who reads it, and the little that is
// known of its other parts.
type Body struct {
	// Text is what a reader sees, in UTF-8: the text parts in order (of alternatives
	// each one), of HTML what is neither tag, style, comment nor hidden; blocks and
	// lines end in "\n", other white space is one blank. At most MaxText bytes.
	Text string
	// Links are the visible ones of the HTML parts that have a target, and the URLs
	// and mail addresses that stand in plain text, in order; at most MaxLinks.
	Links []Link
	// Files has a digest of each part that holds no text to be read: what tells one
	// attachment or picture from another, on every host alike.
	Files []uint64
	// Report is the report-type of a multipart/report in lower case
	// ("delivery-status", "disposition-notification"); empty for none.
	Report string
	// Calendar is the method of a text/calendar part in lower case ("request",
	// "reply", "publish"); empty for none.
	Calendar string
	// Raw says why the MIME structure could not be followed, in a few plain ASCII
	// words: Text is then, or holds too, the undecoded body. Empty when it could.
	Raw string
	// Cut says that there was more than is looked at.
	Cut bool
}

// Link is a target that a reader can follow.
type Link struct {
	URL    string // as written, without blanks around it
	Text   string // of the anchor; empty where the URL itself is what is seen
	Around string // the visible text it stands in: its block's, at most 300 bytes
}

// What is looked at of one mail.
const (
	MaxText  = 256 << 10 // bytes
	MaxLinks = 500
)

// ReadBody reads the body of the mail that has these header fields.
func ReadBody(fields []Field, body []byte) Body {
	return Body{}
}
