package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"o2n-milter/state"
	"o2n-milter/web/desk"
)

// TestRecords: whole records of everybody's mail, page by page, of the time that is
// asked for.
func TestRecords(t *testing.T) {
	d := newOffice(t)
	for i := range 5 { // two of each second
		err := d.store.Record(t.Context(), state.Decision{
			ID: fmt.Sprint("D", i), At: start.Add(time.Duration(i/2) * time.Second), Detail: []byte(`{"size":7}`), Subjects: []string{alice},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	get := func(query url.Values) (int, []state.Decision) {
		t.Helper()
		answer := httptest.NewRecorder()
		d.ServeHTTP(answer, httptest.NewRequest("GET", "/v1/records?"+query.Encode(), nil))
		var list desk.Records
		if err := json.Unmarshal(answer.Body.Bytes(), &list); err != nil {
			t.Fatal(err)
		}
		return answer.Code, list.Decisions
	}
	stamp := func(s int) string { return start.Add(time.Duration(s) * time.Second).Format(time.RFC3339Nano) }
	for query, want := range map[string]string{
		"":                        "[D4 D2 D3 D0 D1]",
		"limit=2":                 "[D4 D2]",
		"limit=2&past=D2&before=": "[D3 D0]", // before the second second, with what is left of it
		"since=":                  "[D4 D2 D3]",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"before", "since"} {
			if values.Has(name) {
				values.Set(name, stamp(1))
			}
		}
		code, list := get(values)
		ids := []string{}
		for _, dec := range list {
			ids = append(ids, dec.ID)
			if string(dec.Detail) != `{"size":7}` || len(dec.Subjects) != 1 {
				t.Errorf("%s: %+v", query, dec)
			}
		}
		if got := fmt.Sprint(ids); code != http.StatusOK || got != want {
			t.Errorf("%s: %d %s, want %s", query, code, got, want)
		}
	}
	for _, bad := range []string{"since=yesterday", "before=x", "limit=0", "limit=10001"} {
		values, _ := url.ParseQuery(bad)
		if code, _ := get(values); code != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, code)
		}
	}
}
