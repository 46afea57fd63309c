package redisdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o2n-milter/state"
)

// learns waits until the store has found out that the server lost its data.
func learns(t *testing.T, s *Store) {
	t.Helper()
	eventually(t, "the loss is found", func() error {
		st, err := s.Status(context.Background(), time.Now())
		if err == nil && !strings.Contains(st.Degraded, "the server had lost data") {
			err = fmt.Errorf("status %q", st.Degraded)
		}
		return err
	})
}

// An emptied server is given the blocks again by whoever asks first, before his
// message is judged; the windows are gone, and that is said.
func TestFlushed(t *testing.T) {
	srv := newServer(t)
	var log lines
	a := open(t, Options{URL: srv.url(), Log: slog.New(slog.NewTextHandler(&log, nil))})
	b := open(t, Options{URL: srv.url()})
	add(t, a, block("B1", "account:x"))
	add(t, b, block("B2", "account:y"))
	if _, err := b.LiftBlock(t.Context(), "B1", time.Now(), "op", "why"); err != nil {
		t.Fatal(err)
	}
	blocked(t, a, "account:x", nil) // a knows of the lift
	to := state.Charge{Window: window("new", "account:z", time.Hour, 9), Set: "recipients", Members: []string{"r1"}, Remember: time.Hour}
	passes(t, a, true, []state.Charge{to})
	key := srv.do(t, "GET", memberKey)
	srv.do(t, "FLUSHALL")
	blocked(t, a, "account:y", nil, "B2")
	learns(t, a)
	learns(t, b)
	if !log.has("2 blocks and other docs were put back; windows, sets and decisions cannot be") || !log.has("level=ERROR") {
		t.Errorf("log: %s; want it to say what was put back and what cannot be", &log)
	}
	wants(t, "the key of members", srv.do(t, "GET", memberKey), key)
	fresh := open(t, Options{URL: srv.url()})
	blocked(t, fresh, "account:y", nil, "B2")
	blocked(t, fresh, "account:x", nil)
	wants(t, "costs", passes(t, fresh, true, []state.Charge{to}).Costs, []int64{1})
	wants(t, "costs", passes(t, b, true, []state.Charge{to}).Costs, []int64{0}) // hashed alike
	if n, err := fresh.Reset(t.Context(), "account:z"); n != 1 || err != nil {
		t.Errorf("reset: %d, %v; want the 1 window that was made since", n, err)
	}
}

// What was deleted after the flush is not put back by a host that finds out late.
func TestFlushedAndDeleted(t *testing.T) {
	srv := newServer(t)
	path := t.TempDir()
	a, b := open(t, Options{URL: srv.url()}), open(t, Options{URL: srv.url(), Path: path})
	add(t, a, block("B1", "account:x"))
	blocked(t, b, "account:x", nil, "B1")
	b.Close()
	srv.do(t, "FLUSHALL")
	blocked(t, a, "account:x", nil, "B1")
	if _, err := a.PutDoc(t.Context(), state.Doc{Kind: "block", ID: "B1", Rev: 1}); err != nil {
		t.Fatal(err)
	}
	b = open(t, Options{URL: srv.url(), Path: path})
	blocked(t, b, "account:x", nil)
	blocked(t, a, "account:x", nil)
}

// A server comes back with an older state: what is missing or older is put back.
func TestRestoredFromBackup(t *testing.T) {
	srv := newServer(t)
	a := open(t, Options{URL: srv.url()})
	add(t, a, block("B1", "account:x"))
	srv.do(t, "SAVE")
	if _, err := a.LiftBlock(t.Context(), "B1", time.Now(), "op", ""); err != nil {
		t.Fatal(err)
	}
	add(t, a, block("B2", "account:y"))
	srv.kill()
	srv.start(t)
	back(t, a)
	learns(t, a)
	fresh := open(t, Options{URL: srv.url()})
	blocked(t, fresh, "account:x", nil)
	blocked(t, fresh, "account:y", nil, "B2")
}

// The same, but others have gone on with the backup, as far as the host had come:
// its number alone tells nothing.
func TestRestoredAndGoneOn(t *testing.T) {
	srv := newServer(t)
	path := t.TempDir()
	a := open(t, Options{URL: srv.url(), Path: path})
	add(t, a, block("B1", "account:x"))
	srv.do(t, "SAVE")
	add(t, a, block("B2", "account:y"))
	a.Close()
	srv.kill()
	srv.start(t)
	c := open(t, Options{URL: srv.url()})
	add(t, c, block("B3", "account:z"))
	a = open(t, Options{URL: srv.url(), Path: path})
	for subject, id := range map[string]string{"account:x": "B1", "account:y": "B2", "account:z": "B3"} {
		blocked(t, a, subject, nil, id)
		blocked(t, c, subject, nil, id)
	}
}

// A daemon that starts while the server is away knows its blocks, and what has become
// of them when it is back.
func TestJournal(t *testing.T) {
	srv := newServer(t, "--appendonly", "yes", "--appendfsync", "always")
	path := filepath.Join(t.TempDir(), "made")
	a := open(t, Options{URL: srv.url(), Path: path})
	for _, id := range []string{"B1", "B2", "B3"} {
		add(t, a, block(id, "account:"+id))
	}
	if _, err := a.LiftBlock(t.Context(), "B2", time.Now(), "op", ""); err != nil {
		t.Fatal(err)
	}
	a.Close()
	b := open(t, Options{URL: srv.url()})
	if _, err := b.PutDoc(t.Context(), state.Doc{Kind: "block", ID: "B3", Rev: 1}); err != nil {
		t.Fatal(err)
	}
	b.Close()
	srv.kill()
	a = open(t, Options{URL: srv.url(), Path: path})
	blocked(t, a, "account:B1", one("account:B1", 1), "B1")
	if list, err := a.Blocks(t.Context()); err != nil || len(list) != 3 {
		t.Errorf("blocks: %v, %v; want 3", list, err)
	}
	if _, err := a.Take(t.Context(), time.Now(), state.Ask{Subjects: []string{"account:B2"}}); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("ask about a subject without block: %v; want %v", err, state.ErrUnavailable)
	}
	srv.start(t)
	back(t, a)
	blocked(t, a, "account:B1", nil, "B1")
	blocked(t, a, "account:B2", nil)
	blocked(t, a, "account:B3", nil) // deleted while it was away
	if st, err := a.Status(t.Context(), time.Now()); err != nil || st.Degraded != "" {
		t.Errorf("status %q, error %v; want it whole: the server has lost nothing", st.Degraded, err)
	}
	wants(t, "blocks on the server", srv.do(t, "HLEN", docKeys[0]), 2)
}

// Every host was down, and the server was emptied meanwhile: the journal's docs go back.
func TestJournalAfterFlush(t *testing.T) {
	srv := newServer(t)
	path := t.TempDir()
	a := open(t, Options{URL: srv.url(), Path: path})
	add(t, a, block("B1", "account:x"))
	a.Close()
	srv.do(t, "FLUSHALL")
	a = open(t, Options{URL: srv.url(), Path: path})
	blocked(t, a, "account:x", nil, "B1")
	learns(t, a)
	blocked(t, open(t, Options{URL: srv.url()}), "account:x", nil, "B1")
}

// A journal with a damaged line may lack a doc: everything is read anew.
func TestDamagedJournal(t *testing.T) {
	srv := common(t)
	path := t.TempDir()
	a := open(t, Options{URL: srv.url(), Path: path})
	add(t, a, block("B1", "account:x"))
	add(t, a, block("B2", "account:y"))
	a.Close()
	file := filepath.Join(path, "redis.journal")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b = []byte(strings.Replace(string(b), `"id":"B1"`, `"id":"BX"`, 1))
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	a = open(t, Options{URL: srv.url(), Path: path})
	blocked(t, a, "account:x", nil, "B1")
	blocked(t, a, "account:y", nil, "B2")
}

func TestJournalFaults(t *testing.T) {
	srv := common(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(Options{URL: srv.url(), Path: file}); err == nil {
		s.Close()
		t.Error("opened with a file for the journal's folder")
	}
	path := t.TempDir()
	a := open(t, Options{URL: srv.url(), Path: path})
	if s, err := Open(Options{URL: srv.url(), Path: path}); err == nil {
		s.Close()
		t.Error("opened a journal that is in use")
	}
	a.mirror.diary.file.Close()
	add(t, a, block("B1", "account:x")) // the server has it
	blocked(t, a, "account:x", nil, "B1")
	if st, err := a.Status(t.Context(), time.Now()); err != nil || !strings.Contains(st.Degraded, "are not kept on this host") {
		t.Errorf("status %q, error %v; want it to say that the journal is not written", st.Degraded, err)
	}
}

// A doc that somebody has broken on the server is logged and not in force; the others are.
func TestBrokenDocs(t *testing.T) {
	srv := common(t)
	a := open(t, Options{URL: srv.url()})
	add(t, a, block("B1", "account:x"))
	for i, value := range []string{"", "1", "x {}", "1 {", "-1 {}", "1 {\"id\":\"other\"}", strings.Repeat("9", 40) + " {}"} {
		field := fmt.Sprint("block/broken", i)
		srv.do(t, "HSET", docKeys[0], field, value)
		srv.do(t, "ZADD", docKeys[1], 1, field)
	}
	var log lines
	b := open(t, Options{URL: srv.url(), Log: slog.New(slog.NewTextHandler(&log, nil))})
	blocked(t, b, "account:x", nil, "B1")
	if !log.has("a doc cannot be read and is not in force") {
		t.Errorf("log: %s; want it to tell of the broken ones", &log)
	}
	for _, gen := range []string{"junk", "", "1", "x y"} {
		srv.do(t, "SET", genKey, gen)
		s := open(t, Options{URL: srv.url(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err := s.link.fault(); err == nil || !strings.Contains(err.Error(), genKey) {
			t.Errorf("generation %q: %v; want an error that names the key", gen, err)
		}
	}
}
