package main

import (
	"log/slog"

	"o2n-milter/config"
	"o2n-milter/hold"
	"o2n-milter/notify"
	"o2n-milter/state"
	"o2n-milter/web/desk"
)

// newKeeper makes the keeper of held mail. The rules are there before it runs.
func newKeeper(cfg *config.Config, store state.Store, live *liveConfig, told *notices, log *slog.Logger) *hold.Keeper {
	return hold.New(hold.Options{
		Store: store, Agent: hold.NewAgent(cfg.Hold.Agent), Log: log,
		Rules: live.engine.Load, Send: told.Report, Lasting: notify.Lasting,
	}, holdSettings(cfg))
}

func holdSettings(cfg *config.Config) hold.Settings {
	c := cfg.Hold
	return hold.Settings{
		MaxAge: c.MaxAge, MaxPerSubject: c.MaxPerSubject, MaxMessages: c.MaxMessages, Keep: c.Keep, Queued: c.Queued,
		Language: cfg.Rules.Language,
	}
}

// unknownHeld is the mail on hold that is not ours, as the desk shows it.
func unknownHeld(k *hold.Keeper) []desk.UnknownHeld {
	var list []desk.UnknownHeld
	for _, q := range k.Unknown() {
		list = append(list, desk.UnknownHeld{
			Host: k.Host(), QueueID: q.ID, From: q.From, Recipients: q.Count, Since: q.Arrived, Size: q.Size, Reason: q.Reason,
		})
	}
	return list
}
