package redisdb

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"o2n-milter/state"
	"o2n-milter/state/internal/journal"
)

// diary keeps this host's docs on its own disk, so that a daemon which starts while
// the server is away knows its blocks. Nil: there is none.
type diary struct {
	file  *journal.Journal
	log   *slog.Logger
	fault atomic.Pointer[error] // why the last line was not written; nil when it was
}

// generationKind is the kind of the line that says how far the others have come. No
// store hands out docs of this kind.
const generationKind = "redis.generation"

// openDiary returns what was kept in folder.
func openDiary(folder string, log *slog.Logger) (d *diary, docs []state.Doc, g generation, err error) {
	if folder == "" {
		return nil, nil, none, nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, nil, none, err
	}
	file, lines, err := journal.Open(filepath.Join(folder, "redis.journal"), log)
	if err != nil {
		return nil, nil, none, err
	}
	g = none
	for _, doc := range lines {
		switch {
		case doc.Data == nil:
		case doc.Kind == generationKind:
			g = readGeneration(doc, log)
		default:
			docs = append(docs, doc)
		}
	}
	if file.Damage() != "" {
		g = none // a doc may be missing that was there by then
	}
	return &diary{file: file, log: log}, docs, g, nil
}

// readGeneration gives none for what cannot be read: then the server is given every
// doc that it does not have.
func readGeneration(doc state.Doc, log *slog.Logger) generation {
	var text string
	err := json.Unmarshal(doc.Data, &text)
	if err == nil {
		var g generation
		if g, err = parseGeneration(text); err == nil {
			return g
		}
	}
	log.Error("redis: the journal does not say how far it has come", "err", err)
	return none
}

// append writes docs as of g. Where it cannot, the docs are in force all the same: the
// server has them.
func (d *diary) append(docs []state.Doc, g generation) {
	if d == nil {
		return
	}
	data, err := json.Marshal(g.String())
	if err == nil {
		last := state.Doc{Kind: generationKind, ID: "last", Rev: 1, Data: data}
		err = d.file.Append(append(docs[:len(docs):len(docs)], last)...)
	}
	if err == nil {
		d.fault.Store(nil)
		return
	}
	err = fmt.Errorf("blocks and other docs are not kept on this host: %w", err)
	d.log.Error("redis: journal", "err", err)
	d.fault.Store(&err)
}

func (d *diary) close() error {
	if d == nil {
		return nil
	}
	return d.file.Close()
}
