package content

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"o2n-milter/rules"
)

// Kind is why there is no score, as the metric names it.
type Kind string

// The kinds.
const (
	Timeout    Kind = "timeout"    // not within the time limit
	Connection Kind = "connection" // no connection, or one that broke
	Status     Kind = "status"     // an answer with another status than 200
	Answer     Kind = "answer"     // one that holds no score
	Busy       Kind = "busy"       // too many questions under way; not asked
	Resting    Kind = "resting"    // the engine is left alone; not asked
)

// Kinds lists them all.
var Kinds = []Kind{Timeout, Connection, Status, Answer, Busy, Resting}

// Fault is an error that says why there is no score.
type Fault struct {
	Kind Kind
	Err  error
}

func (f *Fault) Error() string { return string(f.Kind) + ": " + f.Err.Error() }

// Unwrap gives the error behind it.
func (f *Fault) Unwrap() error { return f.Err }

// engines says that the engine itself is to blame, not the message or we.
func (f *Fault) engines() bool {
	return f.Kind != Busy && f.Kind != Resting && !errors.Is(f.Err, errRefused)
}

// errRefused is a status of 400 to 499: the engine is there and does not want this.
var errRefused = errors.New("the engine refuses the question")

// withoutURL leaves the address out of an error: it is in the configuration.
func withoutURL(err error) error {
	if e, ok := err.(*url.Error); ok {
		return e.Err
	}
	return err
}

const (
	mostSymbols = 10
	mostSymbol  = 64 // octets; rspamd's own names are shorter
	// maxScore bounds scores to what can be read; sums of weights are a few dozen.
	maxScore = 1e6
)

// said is rspamd's answer to /checkv2, as far as it is looked at.
type said struct {
	Score    *float64 `json:"score"`
	Required float64  `json:"required_score"`
	Action   string   `json:"action"`
	Symbols  map[string]struct {
		Score float64 `json:"score"`
	} `json:"symbols"`
	Error string `json:"error"`
}

// read is the score in an answer. Each thing must be of its kind; what is not known
// here is left alone.
func read(status int, raw []byte) (rules.Score, *Fault) {
	if len(raw) > maxAnswer {
		return rules.Score{}, &Fault{Answer, fmt.Errorf("more than %d octets", maxAnswer)}
	}
	var s said
	err := json.Unmarshal(raw, &s)
	switch {
	case status/100 == 4:
		return rules.Score{}, &Fault{Status, fmt.Errorf("%w: status %d %s", errRefused, status, plain(s.Error, 120))}
	case status != http.StatusOK:
		return rules.Score{}, &Fault{Status, fmt.Errorf("status %d %s; want 200", status, plain(s.Error, 120))}
	case err != nil:
		return rules.Score{}, &Fault{Answer, errors.New(plain(err.Error(), 200))}
	case s.Score == nil:
		return rules.Score{}, &Fault{Answer, errors.New("no score")}
	case math.Abs(*s.Score) > maxScore || math.Abs(s.Required) > maxScore:
		return rules.Score{}, &Fault{Answer, fmt.Errorf("a score of %g of %g", *s.Score, s.Required)}
	}
	return rules.Score{Score: *s.Score, Required: s.Required, Action: plain(s.Action, 32), Symbols: s.heaviest()}, nil
}

// heaviest are the names of the tests that weighed most, for or against.
func (s *said) heaviest() []string {
	weight := func(name string) float64 { return math.Abs(s.Symbols[name].Score) }
	names := slices.SortedFunc(maps.Keys(s.Symbols), func(a, b string) int {
		return cmp.Or(cmp.Compare(weight(b), weight(a)), strings.Compare(a, b))
	})
	names = names[:min(len(names), mostSymbols)]
	for i, name := range names {
		names[i] = plain(name, mostSymbol)
	}
	return names
}

// plain is foreign text on one line of printable ASCII, at most so many octets.
func plain(s string, most int) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), most)])
}
