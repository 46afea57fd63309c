package rules

import "slices"

// messageMalformed: mail that cannot be read at all. A missing From or broken
// MIME is not that: identity and content rules judge those.
func messageMalformed(f *facts) []Evidence {
	var found []Evidence
	for _, fault := range slices.Concat(f.mail.Faults, f.msg.Faults) {
		found = append(found, Evidence{Fact: "message", Got: printable(fault, 120), Want: "a header that can be read"})
	}
	return found
}

// messageTooComplex: more of it than can be judged within the budget of time and
// memory, so that nobody knows what the rest says.
func messageTooComplex(f *facts) []Evidence {
	var found []Evidence
	for _, excess := range f.mail.Excess {
		found = append(found, Evidence{Fact: "message", Got: excess, Want: "less"})
	}
	if f.msg.Excess != "" {
		found = append(found, Evidence{Fact: "message", Got: f.msg.Excess, Want: "less"})
	}
	return found
}

// accountsUnknown: a login that no source knows, where accounts.unknown says
// reject, or one without a domain, which could be anybody's.
func accountsUnknown(f *facts) []Evidence {
	if !f.who.unknown {
		return nil
	}
	return one("login", printable(f.who.account.Login, 120), "a login that is listed in accounts")
}
