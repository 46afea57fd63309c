package ledger

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// Whatever bytes others put into a decision come back.
func TestDecisionKeepsEveryText(t *testing.T) {
	odd := func(i int) string { return strings.Repeat("x", i) + "%41\xff\x00é<%" }
	var d state.Decision
	v := reflect.ValueOf(&d).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case string:
			f.SetString(odd(i))
		case []string:
			f.Set(reflect.ValueOf([]string{odd(i), odd(i + 1)}))
		case int:
			f.SetInt(int64(i))
		}
	}
	d.At, d.Detail = start, []byte(`{"a":1}`)
	value, err := EncodeDecision(d)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeDecision(value)
	if diff := cmp.Diff(d, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}

func TestDecisionBounds(t *testing.T) {
	bare := len(`{"id":"D","at":"2026-03-01T12:00:00Z","action":"","rule":"","account":"","client":"","from":"","rcpts":0,"subjects":null,"detail":""}`)
	detail := func(n int) []byte { return []byte(`"` + strings.Repeat("x", n-bare) + `"`) }
	subjects := func(n int) []string { return make([]string, n) }
	for name, c := range map[string]struct {
		d  state.Decision
		ok bool
	}{
		"as long as may be":      {state.Decision{ID: "D", At: start, Detail: detail(MaxDecision)}, true},
		"one byte more":          {state.Decision{ID: "D", At: start, Detail: detail(MaxDecision + 1)}, false},
		"as many subjects":       {state.Decision{ID: "D", At: start, Subjects: subjects(MaxDecisionSubjects)}, true},
		"one subject more":       {state.Decision{ID: "D", At: start, Subjects: subjects(MaxDecisionSubjects + 1)}, false},
		"no id":                  {state.Decision{At: start}, false},
		"no time":                {state.Decision{ID: "D"}, false},
		"a time out of range":    {state.Decision{ID: "D", At: start.Add(200 * 365 * 24 * time.Hour)}, false},
		"detail that is no JSON": {state.Decision{ID: "D", At: start, Detail: []byte("{")}, false},
	} {
		if _, err := EncodeDecision(c.d); (err == nil) != c.ok {
			t.Errorf("%s: %v; want ok %v", name, err, c.ok)
		}
	}
}
