package state

import (
	"slices"
	"testing"
)

func TestMemberHashes(t *testing.T) {
	key := MemberKey{0: 1, 31: 32}
	// HMAC-SHA256 by another program; the first 8 bytes.
	const want = 0x22b46e1ba5ab0d56
	if got := key.Hashes([]string{"a@client-a.example"}); !slices.Equal(got, []uint64{want}) {
		t.Errorf("hash %x; want %x in every process and for ever", got, uint64(want))
	}
	got := key.Hashes([]string{"b", "a", "b", "", "a"})
	if len(got) != 3 || !slices.IsSorted(got) {
		t.Errorf("hashes %x; want 3, in order", got)
	}
	other := NewMemberKey()
	if slices.Equal(other.Hashes([]string{"a"}), key.Hashes([]string{"a"})) || other == NewMemberKey() {
		t.Error("another key makes the same hashes")
	}
	if key.Hashes(nil) != nil {
		t.Error("no members have hashes")
	}
}
