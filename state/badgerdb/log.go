package badgerdb

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// badgerLog passes on what an operator should know; Badger's news of its daily work
// are debug lines here. What it tries each second in vain is said once.
type badgerLog struct {
	log   *slog.Logger
	fault func(text string) // is told of every error line

	mu   sync.Mutex
	last string
}

func (l *badgerLog) Errorf(f string, a ...any) {
	text := line(f, a)
	if l.repeated(text) {
		l.log.Debug(text)
	} else {
		l.log.Error(text)
	}
	l.fault(text)
}

func (l *badgerLog) repeated(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	text = strings.Map(withoutDigits, text) // each try has a file of another number
	same := text == l.last
	l.last = text
	return same
}

func withoutDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
}

// Warningf keeps to itself that a cache is small: it is meant to be, and Badger says so
// in several lines after each burst.
func (l *badgerLog) Warningf(f string, a ...any) {
	if strings.Contains(f, "might be too small. Metrics") {
		l.Infof(f, a...)
		return
	}
	l.log.Warn(line(f, a))
}

func (l *badgerLog) Infof(f string, a ...any) { l.log.Debug(line(f, a)) }
func (l *badgerLog) Debugf(string, ...any)    {}

// line is one, however many it was.
func line(f string, a []any) string {
	return "badger: " + strings.Join(strings.Fields(fmt.Sprintf(f, a...)), " ")
}
