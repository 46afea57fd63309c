package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"o2n-milter/config"
)

// outLog is the log of a process that runs on: to standard error, at a level and in a
// format that can change meanwhile.
type outLog struct {
	*slog.Logger
	level slog.LevelVar
	json  atomic.Bool
	lines *logLines
	loops *loops // of the process: they are told here, and the one that writes is of them
}

// brokenPipe is for nobody to read: a reader of standard error that has gone is no reason
// to die of SIGPIPE. Unlike with signal.Ignore, programs that we run get it as usual.
var brokenPipe = make(chan os.Signal, 1)

// openLog writes to out until close. Where out is the journal (JOURNAL_STREAM of
// systemd.exec(5)), each line begins with its priority and has no time, which the
// journal has itself.
func openLog(out io.Writer, cfg config.Log) *outLog {
	signal.Notify(brokenPipe, syscall.SIGPIPE)
	l := &outLog{}
	l.lines = newLines(out, func(lost uint64) {
		l.Error("log lines are lost: standard error did not take them", "lines", lost)
	})
	l.Logger = slog.New(newLogHandler(l, isJournal(out, os.Getenv("JOURNAL_STREAM"))))
	l.configure(cfg)
	l.loops = newLoops(l.Logger)
	l.lines.start(l.loops)
	return l
}

// configure is for the lines to come.
func (l *outLog) configure(cfg config.Log) {
	l.level.Set(cfg.Level)
	l.json.Store(cfg.JSON)
}

func (l *outLog) close() { l.lines.close() }

// register registers o2n_milter_log_lines_lost_total and o2n_milter_loop_panics_total.
func (l *outLog) register(reg prometheus.Registerer) {
	l.loops.register(reg)
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "o2n_milter_log_lines_lost_total",
		Help: "Log lines that standard error did not take.",
	}, func() float64 { return float64(l.lines.lost()) }))
}

// isJournal says whether out is what JOURNAL_STREAM names, "DEVICE:INODE": the
// variable alone may be inherited from a process whose standard error was another.
func isJournal(out io.Writer, stream string) bool {
	f, ok := out.(*os.File)
	if !ok || stream == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// errorPrefix begins a line that is not of the log and says why nothing works, so that
// "journalctl -p err" has it too.
func errorPrefix(out io.Writer) string {
	if isJournal(out, os.Getenv("JOURNAL_STREAM")) {
		return severities[0].prefix
	}
	return ""
}

// severities are the prefixes of sd-daemon(3) for levels from the given one on.
var severities = [...]struct {
	from   slog.Level
	prefix string
}{
	{slog.LevelError, "<3>"}, // LOG_ERR
	{slog.LevelWarn, "<4>"},  // LOG_WARNING
	{slog.LevelInfo, "<6>"},  // LOG_INFO
	{math.MinInt, "<7>"},     // LOG_DEBUG
}

// logHandler has a handler for each format and severity, and gives a record to one.
type logHandler struct {
	log        *outLog
	journal    bool
	more       bool // With has put something before the attributes of each record
	text, json [len(severities)]slog.Handler
}

func newLogHandler(l *outLog, journal bool) logHandler {
	h := logHandler{log: l, journal: journal}
	opts := &slog.HandlerOptions{Level: &l.level}
	for i := range severities {
		prefix := h.prefix(i)
		h.text[i] = slog.NewTextHandler(lineWriter{l.lines, prefix, printableText}, opts)
		h.json[i] = slog.NewJSONHandler(lineWriter{l.lines, prefix, printableJSON}, opts)
	}
	return h
}

// prefix is that of lines of a severity.
func (h *logHandler) prefix(severity int) string {
	if h.journal {
		return severities[severity].prefix
	}
	return ""
}

// Enabled implements slog.Handler.
func (h logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.log.level.Level()
}

// Handle implements slog.Handler. It waits for nobody.
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.journal {
		r.Time = time.Time{} // left out
	}
	i := 0
	for r.Level < severities[i].from {
		i++
	}
	of := h.text
	if h.log.json.Load() {
		of = h.json
	} else if !h.more && h.log.lines.addPlain(h.prefix(i), &r) {
		return nil
	}
	return of[i].Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.each(func(of slog.Handler) slog.Handler { return of.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h logHandler) WithGroup(name string) slog.Handler {
	return h.each(func(of slog.Handler) slog.Handler { return of.WithGroup(name) })
}

func (h logHandler) each(change func(slog.Handler) slog.Handler) logHandler {
	h.more = true
	for i := range severities {
		h.text[i], h.json[i] = change(h.text[i]), change(h.json[i])
	}
	return h
}
