package notify

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state/memory"
)

func TestTextsSayEverythingInEachLanguage(t *testing.T) {
	names := func(lang string) []string {
		var list []string
		for _, tmpl := range languages[lang].Templates() {
			list = append(list, tmpl.Name())
		}
		slices.Sort(list)
		return slices.DeleteFunc(list, func(s string) bool { return strings.HasSuffix(s, ".txt") })
	}
	if diff := cmp.Diff(names("en"), names("fr")); diff != "" {
		t.Error(diff)
	}
	h := start(t, memory.New(), "mx1", Settings{})
	for lang := range languages {
		titles := map[string]bool{}
		for _, what := range All() {
			l, err := render(lang, "operator", h.view(Event{What: what, At: t0}))
			if err != nil {
				t.Fatal(err)
			}
			titles[l.title] = true
			wantNone(t, l.body, "no value", "<nil>", "\n\n\n")
		}
		if len(titles) != len(All()) {
			t.Errorf("%s: titles %v", lang, titles)
		}
		whys := map[string]bool{}
		for _, family := range []string{"identity", "recipients", "limit", "bulk", "message", "manual"} {
			var b strings.Builder
			for _, name := range []string{"why", "fix"} {
				if err := languages[lang].ExecuteTemplate(&b, name, view{Family: family}); err != nil {
					t.Fatal(err)
				}
			}
			whys[b.String()] = true
		}
		if len(whys) != 6 {
			t.Errorf("%s: two families read the same", lang)
		}
	}
}
