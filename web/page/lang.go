package page

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// Lang is a language of ours.
type Lang string

// The languages.
const (
	English Lang = "en"
	French  Lang = "fr"
)

var matcher = language.NewMatcher([]language.Tag{language.English, language.French})

// Lang is the language that the browser wants most of those we have, else
// reply.language ("en+fr": the first).
func (k *Kit) Lang(r *http.Request) Lang {
	// Faults in the field are the browser's; what was read before them counts.
	wanted, _, _ := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if _, i, sure := matcher.Match(wanted...); sure > language.No {
		return []Lang{English, French}[i]
	}
	if strings.HasPrefix(k.language(), string(French)) {
		return French
	}
	return English
}

// Words are the texts of some pages in all languages, by key. A text is for
// fmt.Sprintf. Plurals have the keys KEY.one and KEY.other.
type Words struct{ of map[Lang]map[string]string }

var verb = regexp.MustCompile(`%(?:\[\d+\])?[a-z%]`)

// NewWords joins one text per key and language. A key that one language lacks, and
// texts that do not take the same arguments, are programming mistakes: it panics.
func NewWords(english, french map[string]string) *Words {
	for key, en := range english {
		fr, ok := french[key]
		if !ok {
			panic("page: no French for " + key)
		}
		if !slices.Equal(verb.FindAllString(en, -1), verb.FindAllString(fr, -1)) {
			panic("page: other arguments in French: " + key)
		}
	}
	for key := range french {
		if _, ok := english[key]; !ok {
			panic("page: no English for " + key)
		}
	}
	tied := make(map[string]string, len(french))
	for key, fr := range french {
		tied[key] = frenchBlanks.Replace(fr)
	}
	return &Words{map[Lang]map[string]string{English: english, French: tied}}
}

// frenchBlanks keep a line from breaking before the signs that French puts apart.
var frenchBlanks = strings.NewReplacer(" :", "\u00a0:", " ?", "\u00a0?", " !", "\u00a0!", " ;", "\u00a0;", "« ", "«\u00a0", " »", "\u00a0»")

// Has says whether there is a text of this key.
func (w *Words) Has(key string) bool {
	_, ok := w.of[English][key]
	return ok
}

// Text is the text of key with its arguments; of a key that is in neither table,
// the key itself, which no test lets through.
func (w *Words) Text(l Lang, key string, args ...any) string {
	text, ok := w.of[l][key]
	if !ok {
		if w != own {
			return own.Text(l, key, args...)
		}
		return "[" + key + "]"
	}
	if len(args) == 0 {
		return strings.ReplaceAll(text, "%%", "%")
	}
	return fmt.Sprintf(text, args...)
}

// Count is the text of key for n things: English has one thing, French none or one
// (CLDR plural rules).
func (w *Words) Count(l Lang, key string, n int64) string {
	if n == 1 || l == French && n == 0 {
		return w.Text(l, key+".one", Number(l, n))
	}
	return w.Text(l, key+".other", Number(l, n))
}

// own are the words of the layout, of refusals, and of times.
var own = NewWords(english, french)
