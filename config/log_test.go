package config

import (
	"log/slog"
	"testing"
)

func TestLog(t *testing.T) {
	for text, want := range map[string]Log{
		"":                         {Level: slog.LevelInfo},
		"[log]\nlevel = \"debug\"": {Level: slog.LevelDebug},
		"[log]\nlevel = \"warn\"\nformat = \"json\"":       {Level: slog.LevelWarn, JSON: true},
		"[log]\nlevel = \"error\"\nmessages = \"refused\"": {Level: slog.LevelError, Refused: true},
	} {
		if got := good(t, text).Log; got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}
