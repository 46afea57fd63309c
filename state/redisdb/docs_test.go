package redisdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"o2n-milter/state"
)

func block(id, subject string) state.Block {
	return state.Block{ID: id, Subject: subject, Rule: "manual", Since: time.Now().Add(-time.Minute).UTC()}
}

func add(t testing.TB, s *Store, b state.Block) {
	t.Helper()
	if err := s.AddBlock(context.Background(), b); err != nil {
		t.Fatal(err)
	}
}

// blocked asks with charges, or without, and wants these blocks.
func blocked(t testing.TB, s *Store, subject string, charges []state.Charge, ids ...string) {
	t.Helper()
	a, err := s.Take(context.Background(), time.Now(), state.Ask{Subjects: []string{subject}, Charges: charges})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range a.Blocks {
		got = append(got, b.ID)
	}
	if fmt.Sprint(got) != fmt.Sprint(ids) {
		t.Fatalf("blocks of %s: %v; want %v", subject, got, ids)
	}
}

func TestBlocksAtOnce(t *testing.T) { testBlocksAtOnce(t, common(t).url()) }

// A block is in force on the other host with the next message, and so is its lift.
func testBlocksAtOnce(t *testing.T, url string) {
	a, b := open(t, Options{URL: url}), open(t, Options{URL: url})
	w := window("hour", "account:x", time.Hour, 1000)
	charge := []state.Charge{{Window: w, Cost: 1}}
	for i := range 20 {
		id := fmt.Sprint("B", i)
		blocked(t, b, "account:x", charge)
		add(t, a, block(id, "account:x"))
		blocked(t, b, "account:x", charge, id)
		blocked(t, b, "account:x", nil, id)
		if _, err := b.LiftBlock(t.Context(), id, time.Now(), "op", ""); err != nil {
			t.Fatal(err)
		}
		blocked(t, a, "account:x", nil)
	}
	if n := used(t, a, w); n != 20 {
		t.Errorf("charged %d; want 20: a blocked message charges nothing", n)
	}
}

// An idle host knows within two polls, without anybody asking it.
func TestIdleHostLearns(t *testing.T) {
	url := common(t).url()
	a, idle := open(t, Options{URL: url}), open(t, Options{URL: url})
	add(t, a, block("B1", "account:x"))
	eventually(t, "the idle host knows", func() error {
		if n := len(idle.mirror.docs.Blocks()); n != 1 {
			return fmt.Errorf("%d blocks", n)
		}
		return nil
	})
}

// Writers on two hosts who retry on ErrConflict lose no change.
func TestPutDocRace(t *testing.T) {
	url := common(t).url()
	stores := []*Store{open(t, Options{URL: url}), open(t, Options{URL: url})}
	const writers, each = 8, 10
	var wg sync.WaitGroup
	for i := range writers {
		s := stores[i%2]
		wg.Go(func() {
			for n := 0; n < each; {
				doc, _ := s.mirror.docs.Get("note", "n")
				_, err := s.PutDoc(context.Background(), state.Doc{Kind: "note", ID: "n", Rev: doc.Rev, Data: []byte("1")})
				switch {
				case err == nil:
					n++
				case !errors.Is(err, state.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		if err := s.link.do(t.Context(), s.mirror.renew); err != nil {
			t.Fatal(err)
		}
		if doc, _ := s.mirror.docs.Get("note", "n"); doc.Rev != writers*each {
			t.Errorf("revision %d; want %d", doc.Rev, writers*each)
		}
	}
}

// More changes than are kept apart: who was off meanwhile reads everything anew.
func TestFarBehind(t *testing.T) {
	srv := common(t)
	path := t.TempDir()
	a := open(t, Options{URL: srv.url()})
	b := open(t, Options{URL: srv.url(), Path: path})
	add(t, a, block("B0", "account:gone"))
	add(t, a, block("B1", "account:stays"))
	blocked(t, b, "account:gone", nil, "B0")
	b.Close()
	if _, err := a.PutDoc(t.Context(), state.Doc{Kind: "block", ID: "B0", Rev: 1}); err != nil {
		t.Fatal(err)
	}
	// Deleted and made again: it stays when the deletion is forgotten.
	for _, data := range [][]byte{[]byte("1"), nil, []byte("1")} {
		doc, _ := a.mirror.docs.Get("note", "again")
		if _, err := a.PutDoc(t.Context(), state.Doc{Kind: "note", ID: "again", Rev: doc.Rev, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1010 {
		if _, err := a.PutDoc(t.Context(), state.Doc{Kind: "note", ID: "n", Rev: int64(i), Data: []byte("1")}); err != nil {
			t.Fatal(err)
		}
	}
	wants(t, "deleted docs remembered", srv.do(t, "ZCARD", docKeys[2]), 0)
	wants(t, "marks kept", srv.do(t, "ZCARD", docKeys[3]), 1000)
	b = open(t, Options{URL: srv.url(), Path: path})
	blocked(t, b, "account:gone", nil)
	blocked(t, b, "account:stays", nil, "B1")
	if list, err := b.Docs(t.Context(), "note"); err != nil || len(list) != 2 {
		t.Errorf("notes: %v, %v; want 2", list, err)
	}
	if st, err := b.Status(t.Context(), time.Now()); err != nil || st.Degraded != "" {
		t.Errorf("status %q, error %v; want it whole", st.Degraded, err)
	}
}
