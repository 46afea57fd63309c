package hold

import (
	"testing"

	"o2n-milter/rules"
)

// A decision that keeps its sender as a hash is known in the queue by the domain.
func TestSameSender(t *testing.T) {
	hidden := (&rules.AddressKey{}).Hide("alice@client-a.example")
	for _, c := range []struct {
		kept, queued string
		same         bool
	}{
		{"alice@client-a.example", "ALICE@client-a.example", true}, {"alice@client-a.example", "bob@client-a.example", false},
		{"alice@client-a.example", "alice", true}, {"", "", true},
		{hidden, "alice@Client-A.example", true}, {hidden, "alice@client-b.example", false}, {hidden, "alice", false}, {hidden, "", false},
	} {
		if got := isSameSender(c.kept, c.queued); got != c.same {
			t.Errorf("%q and %q: %v", c.kept, c.queued, got)
		}
	}
}
