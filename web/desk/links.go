package desk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrBadToken is the one error for every fault of a token: whoever guesses learns
// nothing.
var ErrBadToken = errors.New("this link is not valid, or no longer")

// Scope is what a link may be used for.
type Scope int

// The scopes. A link in an SMTP reply goes to whoever holds the password, a thief
// too: it reads and asks, and does not unblock. It is the zero Scope, so that
// forgetting one gives nothing away.
const (
	ScopeReply Scope = iota
	ScopeFull
)

// version of the token by scope; each is signed with it.
var versions = map[Scope]string{ScopeReply: "1r", ScopeFull: "1"}

const (
	// leastKey is 256 bits, as long as the hash.
	leastKey = 32
	// macLength is cut from the hash's 32 bytes: 128 bits nobody guesses.
	macLength = 16
	// mostToken bounds a token, in bytes: an account and some 50 more.
	mostToken = 700
)

// Links signs and reads customers' links. Whoever has the key can make one:
//
//	VERSION.ACCOUNT.UNTIL.MAC
//
// VERSION is 1, or 1r for a link in an SMTP reply, ACCOUNT the login, UNTIL the
// last second of its life since 1970, and MAC the first 16 bytes of HMAC-SHA256
// over what stands before the last dot; ACCOUNT and MAC in base64url without
// padding, which an MTA passes on as it is.
type Links struct {
	key []byte
}

// NewLinks takes the key, at least 32 bytes.
func NewLinks(key []byte) (*Links, error) {
	if len(key) < leastKey {
		return nil, fmt.Errorf("key: %d bytes; want at least %d", len(key), leastKey)
	}
	return &Links{key: append([]byte(nil), key...)}, nil
}

// ParseKey reads what a key file holds: at least 64 hexadecimal digits, or the key
// itself, at least 32 bytes; newlines at the end are not part of it.
func ParseKey(file []byte) ([]byte, error) {
	s := strings.TrimRight(string(file), "\r\n")
	if len(s) >= 2*leastKey {
		if key, err := hex.DecodeString(s); err == nil {
			return key, nil
		}
	}
	if len(s) < leastKey {
		return nil, fmt.Errorf("key: %d bytes; want at least %d, or twice as many hexadecimal digits", len(s), leastKey)
	}
	return []byte(s), nil
}

// Mint makes a token for an account, valid through the second of until.
func (l *Links) Mint(account string, scope Scope, until time.Time) string {
	signed := versions[scope] + "." + base64.RawURLEncoding.EncodeToString([]byte(account)) +
		"." + strconv.FormatInt(until.Unix(), 10)
	return signed + "." + l.mac(signed)
}

func (l *Links) mac(signed string) string {
	h := hmac.New(sha256.New, l.key)
	h.Write([]byte(signed))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:macLength])
}

// Open says for which account a token is and what it may be used for. It looks at
// nothing else before the signature has been compared.
func (l *Links) Open(token string, now time.Time) (account string, scope Scope, err error) {
	signed, genuine := l.verify(token)
	parts := strings.Split(signed, ".")
	if !genuine || len(parts) != 3 {
		return "", ScopeReply, ErrBadToken
	}
	switch parts[0] {
	case versions[ScopeReply]:
		scope = ScopeReply
	case versions[ScopeFull]:
		scope = ScopeFull
	default:
		return "", ScopeReply, ErrBadToken
	}
	raw, errAccount := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	until, errUntil := strconv.ParseInt(parts[2], 10, 64)
	if errAccount != nil || errUntil != nil || len(raw) == 0 || len(raw) > mostName || !utf8.Valid(raw) || now.Unix() > until {
		return "", ScopeReply, ErrBadToken
	}
	return string(raw), scope, nil
}

// verify compares the signature in constant time, an empty one too. It compares
// the text, as a token has one spelling.
func (l *Links) verify(token string) (signed string, genuine bool) {
	token, sum := token[:min(len(token), mostToken+1)], ""
	if i := strings.LastIndexByte(token, '.'); i >= 0 {
		signed, sum = token[:i], token[i+1:]
	}
	same := hmac.Equal([]byte(sum), []byte(l.mac(signed)))
	return signed, same && len(token) <= mostToken
}
