package statetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
)

func doc(kind, id string, rev int64, data string) state.Doc {
	d := state.Doc{Kind: kind, ID: id, Rev: rev}
	if data != "" {
		d.Data = []byte(data)
	}
	return d
}

// put wants the doc to be taken as its next revision.
func (s *suite) put(d state.Doc) {
	s.Helper()
	got, err := s.PutDoc(s.ctx, d)
	if err != nil {
		s.Fatalf("put %s %s: %v", d.Kind, d.ID, err)
	}
	d.Rev++
	if diff := cmp.Diff(d, got); diff != "" {
		s.Fatalf("put (-want +got):\n%s", diff)
	}
}

func (s *suite) conflicts(d state.Doc) {
	s.Helper()
	if _, err := s.PutDoc(s.ctx, d); !errors.Is(err, state.ErrConflict) {
		s.Errorf("put %s %s, revision %d: %v; want ErrConflict", d.Kind, d.ID, d.Rev, err)
	}
}

// docs wants exactly these of a kind.
func (s *suite) docs(kind string, want ...state.Doc) {
	s.Helper()
	if want == nil {
		want = []state.Doc{}
	}
	got, err := s.Docs(s.ctx, kind)
	if err != nil {
		s.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		s.Fatalf("docs of kind %s (-want +got):\n%s", kind, d)
	}
}

// changed wants exactly these of a kind, known being what the asker has.
func (s *suite) changed(kind string, known map[string]int64, want ...state.Doc) {
	s.Helper()
	got, err := s.ChangedDocs(s.ctx, kind, known)
	if err != nil {
		s.Fatal(err)
	}
	if want == nil {
		want = []state.Doc{}
	}
	slices.SortFunc(got, func(a, b state.Doc) int { return strings.Compare(a.ID, b.ID) })
	if d := cmp.Diff(want, got); d != "" {
		s.Fatalf("changed docs of kind %s (-want +got):\n%s", kind, d)
	}
}

func testChangedDocs(_ *testing.T, s *suite) {
	s.changed("note", nil)
	s.changed("note", map[string]int64{"x": 3}, doc("note", "x", 0, ""))
	s.put(doc("note", "a", 0, `1`))
	s.put(doc("note", "b", 0, `1`))
	s.put(doc("other", "a", 0, `1`))
	s.changed("note", nil, doc("note", "a", 1, `1`), doc("note", "b", 1, `1`))
	known := map[string]int64{"a": 1, "b": 1}
	s.changed("note", known)
	s.put(doc("note", "b", 1, `2`))
	s.changed("note", known, doc("note", "b", 2, `2`))
	s.put(doc("note", "a", 1, ""))
	s.put(doc("note", "c", 0, `3`)) // one more and one less
	s.changed("note", known, doc("note", "a", 0, ""), doc("note", "b", 2, `2`), doc("note", "c", 1, `3`))
	s.changed("note", map[string]int64{"b": 2, "c": 1})
}

func testDocs(_ *testing.T, s *suite) {
	s.docs("note")
	s.put(doc("note", "b", 0, `{"n":1}`))
	s.put(doc("note", "a", 0, `[]`))
	s.put(doc("notes", "a", 0, `"other kind"`))
	s.docs("note", doc("note", "a", 1, `[]`), doc("note", "b", 1, `{"n":1}`))
	s.docs("notes", doc("notes", "a", 1, `"other kind"`))
	s.docs("not")

	s.conflicts(doc("note", "a", 0, `1`)) // there is one
	s.conflicts(doc("note", "a", 2, `1`))
	s.conflicts(doc("note", "c", 1, `1`)) // there is none
	s.conflicts(doc("note", "c", 1, ""))
	s.put(doc("note", "a", 1, `2`))
	s.conflicts(doc("note", "a", 1, `3`))
	s.conflicts(doc("note", "a", 1, ""))
	s.docs("note", doc("note", "a", 2, `2`), doc("note", "b", 1, `{"n":1}`))

	s.put(doc("note", "a", 2, ""))
	s.docs("note", doc("note", "b", 1, `{"n":1}`))
	s.conflicts(doc("note", "a", 2, `4`))
	if _, err := s.PutDoc(s.ctx, doc("note", "a", 0, `4`)); err != nil {
		s.Errorf("put after it was deleted: %v", err)
	}
	s.docs("notes", doc("notes", "a", 1, `"other kind"`))
}

func testDocsOf(_ *testing.T, s *suite) {
	of := func(subjects []string, want ...state.Doc) {
		s.Helper()
		got, err := s.DocsOf(s.ctx, "note", subjects)
		if err != nil {
			s.Fatal(err)
		}
		if len(got)+len(want) > 0 && !cmp.Equal(want, got) {
			s.Fatalf("docs of %q (-want +got):\n%s", subjects, cmp.Diff(want, got))
		}
	}
	a, b := doc("note", "N2", 0, `{"subject":"account:a"}`), doc("note", "N1", 0, `{"n":1,"subject":"account:b"}`)
	s.put(a)
	s.put(b)
	s.put(doc("note", "N3", 0, `{"n":1}`))
	s.put(doc("other", "N4", 0, `{"subject":"account:a"}`))
	a.Rev, b.Rev = 1, 1
	of([]string{"account:a"}, a)
	of([]string{"account:a", "account:b", "account:a"}, b, a)
	of([]string{"account:c", ""})
	of(nil)
	a.Data = []byte(`{"subject":"account:c"}`)
	s.put(a)
	a.Rev = 2
	of([]string{"account:a"})
	of([]string{"account:c"}, a)
	s.put(doc("note", "N2", 2, ""))
	of([]string{"account:a", "account:c"})
}

// The store has its own copy, both ways.
func testDocCopies(_ *testing.T, s *suite) {
	d := doc("note", "a", 0, `"mine"`)
	s.put(d)
	copy(d.Data, `"your"`)
	got, err := s.Docs(s.ctx, "note")
	if err != nil || len(got) != 1 {
		s.Fatalf("docs: %v, %v", got, err)
	}
	copy(got[0].Data, `"your"`)
	s.docs("note", doc("note", "a", 1, `"mine"`))
}

func testDocNonsense(_ *testing.T, s *suite) {
	long := `"` + strings.Repeat("x", 64<<10-2) + `"`
	bad := []state.Doc{
		doc("", "a", 0, `1`), doc("note", "", 0, `1`), doc("no/te", "a", 0, `1`), doc("note", "a/b", 0, `1`),
		doc("note", "a%", 0, `1`), doc("note", "{a}", 0, `1`), doc("note", "é", 0, `1`), doc("note", "a b", 0, `1`),
		doc("note", "a\x00", 0, `1`), doc("note", strings.Repeat("a", 201), 0, `1`), doc("note", "a", 0, `{`),
		doc("note", "a", 0, long+" "), doc("block", "a", 0, `{}`), doc("block", "a", 0, `1`),
		{Kind: "note", ID: "a", Data: []byte{}},
	}
	for _, d := range bad {
		if _, err := s.PutDoc(s.ctx, d); err == nil || errors.Is(err, state.ErrConflict) {
			s.Errorf("put %q %.20q with %.20q: %v; want an error that says what is wrong", d.Kind, d.ID, d.Data, err)
		}
	}
	s.docs("note")
	s.put(doc("note", "a", 0, long))
	s.put(doc("note", strings.Repeat("~", 200), 0, `1`))
}

// A block is a doc of kind "block".
func testBlockDocs(_ *testing.T, s *suite) {
	s.add(block("B1", "account:a", 0))
	got, err := s.Docs(s.ctx, "block")
	if err != nil || len(got) != 1 || got[0].ID != "B1" || got[0].Rev != 1 || !bytes.Contains(got[0].Data, []byte("account:a")) {
		s.Fatalf("docs: %v, %v; want the block", got, err)
	}
	s.put(state.Doc{Kind: "block", ID: "B1", Rev: 1})
	s.active(start, []string{"account:a"})
	s.all()
}

// Eight who add to one doc, each after reading it: none of it is lost.
func testDocRace(_ *testing.T, s *suite) {
	const writers, each = 8, 20
	s.put(doc("note", "sum", 0, "0"))
	together(writers, func(int) {
		for range each {
			if err := s.addOne(); err != nil {
				s.Error(err)
				return
			}
		}
	})
	s.docs("note", doc("note", "sum", 1+writers*each, fmt.Sprint(writers*each)))
}

func (s *suite) addOne() error {
	for {
		all, err := s.Docs(s.ctx, "note")
		if err != nil || len(all) != 1 {
			return fmt.Errorf("docs: %v, %w", all, err)
		}
		n, err := strconv.Atoi(string(all[0].Data))
		if err != nil {
			return err
		}
		all[0].Data = strconv.AppendInt(nil, int64(n+1), 10)
		_, err = s.PutDoc(s.ctx, all[0])
		if !errors.Is(err, state.ErrConflict) {
			return err
		}
	}
}
