package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"
)

// sameLine wants appendPlain to write what slog's own handler writes, or to say no, and
// says which.
func sameLine(t *testing.T, at time.Time, level slog.Level, msg string, attrs ...slog.Attr) bool {
	t.Helper()
	r := slog.NewRecord(at, level, msg, 0)
	r.AddAttrs(attrs...)
	var want bytes.Buffer
	if err := slog.NewTextHandler(&want, &slog.HandlerOptions{Level: level}).Handle(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	got, ok := appendPlain(nil, &r)
	if ok && string(got) != want.String() {
		t.Errorf("got %q, want %q", got, want.String())
	}
	return ok
}

func TestPlainLine(t *testing.T) {
	paris := time.FixedZone("CET", 3600)
	times := []time.Time{
		{}, time.Now(), time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC), time.Date(2026, 11, 23, 1, 2, 3, 4_000_000, paris),
		time.Date(2026, 11, 23, 1, 2, 3, 56_999_999, paris), time.Date(2026, 11, 23, 1, 2, 3, 999_999_999, time.UTC),
	}
	for _, at := range times {
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelError + 1} {
			if !sameLine(t, at, level, "message", slog.String("action", "accept"), slog.Int("code", 250), slog.Int("less", -1)) {
				t.Error("not plain")
			}
		}
	}
	for c := range 256 {
		value := "a" + string([]byte{byte(c)}) + "b"
		if ok := sameLine(t, times[1], 0, value, slog.String("k", value), slog.String(value, "")); ok != (c < 0x7f) {
			t.Errorf("%q: plain %v", value, ok)
		}
	}
	for _, odd := range []slog.Attr{
		{}, slog.Any("error", errors.New("x")), slog.Duration("took", 1), slog.Bool("is", true), slog.Group("g", "a", 1), slog.String("", "x"),
	} {
		if sameLine(t, times[1], 0, "message", slog.String("a", "b"), odd, slog.String("c", "d")) {
			t.Errorf("%v is taken for plain", odd)
		}
	}
}

func FuzzPlainLine(f *testing.F) {
	for _, value := range hostile {
		f.Add("msg", "key", value)
	}
	f.Fuzz(func(t *testing.T, msg, key, value string) {
		sameLine(t, time.Now(), slog.LevelInfo, msg, slog.String(key, value), slog.Int("n", len(value)))
	})
}
