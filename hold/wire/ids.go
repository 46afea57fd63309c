package wire

import "regexp"

// The MTAs.
const (
	Postfix  = "postfix"
	Sendmail = "sendmail"
)

// ids are the forms of queue ids.
var ids = map[string]*regexp.Regexp{
	// Short, microseconds and inode in hexadecimal, or long (enable_long_queue_ids),
	// seconds and microseconds in base 52, z, and the inode in base 51. No vowels there,
	// so that no id is a word like ALL.
	Postfix: regexp.MustCompile(`^(?:[0-9A-F]{6,21}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{1,12})$`),
	// Year, month, day, hour, minute, second in base 60, two digits of a counter, and the
	// process' number, of at least six digits.
	Sendmail: regexp.MustCompile(`^[0-9A-Za-x]{8}[0-9]{6,7}$`),
}

// ValidID says whether an MTA gives such ids.
func ValidID(mta, id string) bool {
	form := ids[mta]
	return form != nil && form.MatchString(id)
}

// IsForeignID says that an id is the other MTA's: a host may have changed its MTA.
func IsForeignID(mta, id string) bool {
	return !ValidID(mta, id) && (ValidID(Postfix, id) || ValidID(Sendmail, id))
}
