package config

import "log/slog"

// Log is [log].
type Log struct {
	Level   slog.Level // what is less is not written
	JSON    bool       // an object a line, else key=value
	Refused bool       // no line for a message that passes and in which nothing was found
}

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

var logKeys = []Key{
	{Name: "log.level", Kind: "debug | info | warn | error", Default: `"info"`, check: oneOf("debug", "info", "warn", "error"),
		set: func(c *Config, _ []string, v any) { c.Log.Level = logLevels[v.(string)] }},
	{Name: "log.format", Kind: "text | json", Default: `"text"`, check: oneOf("text", "json"),
		set: func(c *Config, _ []string, v any) { c.Log.JSON = v == "json" }},
	{Name: "log.messages", Kind: "all | refused", Default: `"all"`, check: oneOf("all", "refused"),
		set: func(c *Config, _ []string, v any) { c.Log.Refused = v == "refused" }},
}
