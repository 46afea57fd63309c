package badgerdb

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestBadgerLog(t *testing.T) {
	var out bytes.Buffer
	l := &badgerLog{log: slog.New(slog.NewTextHandler(&out, nil)), fault: func(string) {}}
	l.Warningf("%s might be too small. Metrics: %s\n", "Block cache", "hit: 1\nmiss: 2") // db.go of Badger 4.9
	l.Infof("moving a table")
	if out.Len() > 0 {
		t.Errorf("an operator is told %q", out.String())
	}
	l.Warningf("while %s:\n\tsomething else\n", "closing")
	if got := out.String(); !strings.Contains(got, `msg="badger: while closing: something else"`) {
		t.Errorf("told %q", got)
	}
}
