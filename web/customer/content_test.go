package customer

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/rules"
	"o2n-milter/web/page"
)

// What a content engine found is not for the customer, who may be a spammer.
func TestContentIsNotTold(t *testing.T) {
	got := findings(page.English, []rules.Evidence{
		{Rule: "content.score", Fact: "content score", Got: "17.2 of 15 (reject) by BAYES_SPAM, SHORT_URL", Want: "below 15"},
		{Rule: "content.unavailable", Fact: "content engine", Got: "no score", Want: "a score"},
	})
	want := []finding{{Rule: "Mail that does not look like spam"}, {Rule: "Content not to be checked"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
