package ledger

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

// Whatever bytes others put into a block come back.
func TestBlockKeepsEveryText(t *testing.T) {
	var b state.Block
	v := reflect.ValueOf(&b).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case string:
			f.SetString(strings.Repeat("x", i) + "%41\xff\x00é<%")
		case []string:
			f.Set(reflect.ValueOf([]string{"D\xff", "%"}))
		case json.RawMessage:
			f.SetBytes([]byte(`{"a":"%41"}`))
		case int:
			f.SetInt(int64(i))
		case time.Time:
			f.Set(reflect.ValueOf(start.Add(time.Duration(i))))
		}
	}
	doc, err := encodeBlock(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeBlock(doc)
	if d := cmp.Diff(b, got); d != "" || err != nil {
		t.Errorf("block: error %v (-want +got):\n%s", err, d)
	}
}
