package state

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"sync"
)

// MemberKey is what members are hashed with, so that a copy of the store says
// nothing about who was written to. It is made once for a store and kept in it.
type MemberKey [32]byte

// NewMemberKey makes a key nobody knows.
func NewMemberKey() MemberKey {
	var k MemberKey
	rand.Read(k[:]) // never returns an error
	return k
}

// Hashes are the members' keyed hashes (HMAC-SHA256, first 8 bytes), in order and
// each once. Among MaxMembers two meet by chance in one set of 10^11.
func (k *MemberKey) Hashes(members []string) []uint64 {
	if len(members) == 0 {
		return nil
	}
	h := k.hasher()
	defer hashers.Put(h)
	hashes := make([]uint64, len(members))
	for i, m := range members {
		hashes[i] = h.sum(m)
	}
	slices.Sort(hashes)
	return slices.Compact(hashes)
}

// hasher hashes with one key. Making one, and its first reset, cost more than a hash.
type hasher struct {
	key       MemberKey
	mac       hash.Hash
	used      bool
	text, out []byte // the hash takes no strings, and what it is given moves to the heap
}

var hashers sync.Pool // of *hasher; a process has one key as a rule

func (k *MemberKey) hasher() *hasher {
	if h, ok := hashers.Get().(*hasher); ok && h.key == *k {
		return h
	}
	return &hasher{key: *k, mac: hmac.New(sha256.New, k[:])}
}

func (h *hasher) sum(member string) uint64 {
	if h.used {
		h.mac.Reset()
	}
	h.used = true
	h.text = append(h.text[:0], member...)
	h.mac.Write(h.text) // never returns an error
	h.out = h.mac.Sum(h.out[:0])
	return binary.BigEndian.Uint64(h.out)
}
