package rules

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// fill puts something, often nothing, into every field below v.
func fill(v reflect.Value, random *rand.Rand) {
	texts := []string{"", "plain", `"<a&b>" \`, "\x00\n\u2028", "\xff", "h\u00e9t\u00e9"}
	if at, is := v.Addr().Interface().(*time.Time); is {
		*at = []time.Time{{}, start, start.Add(1_234_567), start.In(time.FixedZone("", -5400))}[random.IntN(4)]
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(texts[random.IntN(len(texts))])
	case reflect.Int, reflect.Int64:
		v.SetInt([]int64{0, 1, -7, 1 << 40}[random.IntN(4)])
	case reflect.Bool:
		v.SetBool(random.IntN(2) > 0)
	case reflect.Slice:
		if n := random.IntN(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
		}
		for i := range v.Len() {
			fill(v.Index(i), random)
		}
	case reflect.Pointer:
		if random.IntN(2) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), random)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), random)
		}
	default:
		panic("a field of a kind that is new: " + v.Type().String())
	}
}

// Every field of a detail is written, and as encoding/json writes it.
func TestDetailAsEncodingJSON(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		var d Detail
		fill(reflect.ValueOf(&d).Elem(), random)
		want, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.appendJSON(nil); string(got) != string(want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}
