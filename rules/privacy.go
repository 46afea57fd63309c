package rules

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"o2n-milter/message"
	"o2n-milter/state"
)

// state.addresses = "hashed": decisions, and the evidence of the blocks that they lead
// to, hold no mailbox but the account's own. What stands before the @ of any other is a keyed hash, always the same for one address,
// so that decisions can be counted and found by it. The key is in the store, for all
// its hosts: who has the whole store can try addresses, who has an extract cannot.

// AddressKey is what addresses are hashed with.
type AddressKey [32]byte

// The one Doc with the key. It is never changed nor deleted.
const (
	addressKeyKind = "privacy"
	addressKeyID   = "addresses"
)

// addressKeyData is JSON of the Doc.
type addressKeyData struct {
	Key []byte `json:"key"`
}

// AddressKeyOf is the store's key; nil when none was needed yet.
func AddressKeyOf(ctx context.Context, store state.Store) (*AddressKey, error) {
	docs, err := store.Docs(ctx, addressKeyKind)
	if err != nil || len(docs) == 0 {
		return nil, err
	}
	var data addressKeyData
	var key AddressKey
	if err := json.Unmarshal(docs[0].Data, &data); err != nil || len(data.Key) != len(key) {
		return nil, fmt.Errorf("%s %s: want %d bytes in base64", docs[0].Kind, docs[0].ID, len(key))
	}
	copy(key[:], data.Key)
	return &key, nil
}

// addressKey is the store's key, made by whoever needs it first.
func (e *Engine) addressKey(ctx context.Context) (*AddressKey, error) {
	if key := e.hashes.Load(); key != nil {
		return key, nil
	}
	key, err := AddressKeyOf(ctx, e.store)
	if key == nil && err == nil {
		key, err = newAddressKey(ctx, e.store)
	}
	if err != nil {
		return nil, fmt.Errorf("key of hashed addresses: %w", err)
	}
	e.hashes.Store(key)
	return key, nil
}

func newAddressKey(ctx context.Context, store state.Store) (*AddressKey, error) {
	var key AddressKey
	rand.Read(key[:]) // never fails (crypto/rand, Go 1.24)
	data, err := json.Marshal(addressKeyData{key[:]})
	if err != nil {
		return nil, err
	}
	_, err = store.PutDoc(ctx, state.Doc{Kind: addressKeyKind, ID: addressKeyID, Data: data})
	if errors.Is(err, state.ErrConflict) { // another host was first
		return AddressKeyOf(ctx, store)
	}
	return &key, err
}

// Hide is what decisions hold of an address: "~0123456789abcdef@remote.example". An
// empty one, of delivery reports, stays. A nil key hides it from everybody.
func (k *AddressKey) Hide(address string) string {
	if address == "" {
		return ""
	}
	domain := ""
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		domain = strings.ToLower(address[at:])
	}
	if k == nil {
		return "~" + domain
	}
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte(strings.ToLower(address)))
	return "~" + hex.EncodeToString(mac.Sum(nil)[:8]) + domain
}

var hidden = regexp.MustCompile(`^~([0-9a-f]{16})?(@|$)`)

// HiddenDomain is what is left of an address that Hide has hidden.
func HiddenDomain(address string) (domain string, ok bool) {
	if !hidden.MatchString(address) {
		return "", false
	}
	_, domain, _ = strings.Cut(address, "@")
	return domain, true
}

// RecipientForm is how decisions write a recipient: what a search must look for.
func RecipientForm(address string) string {
	return message.ParseAddress(strings.Trim(strings.TrimSpace(address), "<>")).Fold()
}

// mailbox is an address in a text: what stands before the @, quoted or not, and the
// domain behind it.
var mailbox = regexp.MustCompile(`("[^"@]*"|[^\s<>()\[\],;:"@]+)@([^\s<>()\[\],;:"'@?]+)`)

// hideBut hides an address unless it is own, the account's login.
func (k *AddressKey) hideBut(own, address string) string {
	if own != "" && strings.EqualFold(address, own) {
		return address
	}
	return k.Hide(address)
}

// hideWithin hides the addresses in a text.
func (k *AddressKey) hideWithin(own, text string) string {
	return mailbox.ReplaceAllStringFunc(text, func(address string) string {
		if _, done := HiddenDomain(address); done {
			return address
		}
		return k.hideBut(own, address)
	})
}

// hideEvidence is evidence without addresses.
func (k *AddressKey) hideEvidence(own string, list []Evidence) []Evidence {
	list = slices.Clone(list)
	for i := range list {
		ev := &list[i]
		if strings.HasPrefix(ev.Rule, "identity.") {
			ev.Got = hideGot(ev.Got, func(address string) string { return k.hideBut(own, address) })
		}
		ev.Got = k.hideWithin(own, ev.Got)
	}
	return list
}

// hide takes the addresses out of a decision; own is the account's login.
func (k *AddressKey) hide(d *state.Decision, detail *Detail, own string) {
	one := func(address string) string { return k.hideBut(own, address) }
	each := func(list []string) {
		for i := range list {
			list[i] = one(list[i])
		}
	}
	d.From = one(d.From)
	each(d.To)
	each(detail.Authors)
	each(detail.ReplyTo)
	detail.Subject = k.hideWithin(own, detail.Subject)
	detail.Evidence = k.hideEvidence(own, detail.Evidence)
}

// lenientMark is how identity.malformed begins where an address follows.
const lenientMark = "cannot be parsed and holds "

// hideGot hides the address that evidence begins with: it may have blanks before the @.
func hideGot(got string, one func(string) string) string {
	mark := ""
	if rest, is := strings.CutPrefix(got, lenientMark); is {
		mark, got = lenientMark, rest
	}
	at := strings.LastIndexByte(got, '@')
	if at < 0 {
		return mark + got
	}
	end := at + 1
	if n := strings.IndexAny(got[end:], ": "); n >= 0 {
		end += n
	} else {
		end = len(got)
	}
	return mark + one(got[:end]) + got[end:]
}
