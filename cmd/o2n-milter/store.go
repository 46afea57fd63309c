package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"o2n-milter/config"
	"o2n-milter/state"
	"o2n-milter/state/badgerdb"
	"o2n-milter/state/local"
	"o2n-milter/state/memory"
	"o2n-milter/state/redisdb"
	"o2n-milter/web"
)

// openStore opens the store that [state] names, with its calls measured and, where
// it says so, one that can go on alone before it.
func openStore(cfg config.State, beside *loops, reg prometheus.Registerer) (state.Store, error) {
	log := beside.log
	backing, err := openBackend(cfg, beside)
	if errors.Is(err, state.ErrNewer) {
		return nil, &exitError{exitConfig, err} // no other start helps, but of another version
	}
	if err != nil {
		return nil, err
	}
	store := web.Measure(reg, backing)
	if !cfg.Local {
		web.RegisterLocal(reg, func() uint64 { return 0 })
		return store, nil
	}
	alone := local.New(store, log)
	web.RegisterLocal(reg, alone.Takes)
	return alone, nil
}

func openBackend(cfg config.State, beside *loops) (state.Store, error) {
	switch cfg.Backend {
	case "memory":
		return memory.New(), nil
	case "redis":
		return openRedis(cfg, beside)
	}
	return badgerdb.Open(badgerdb.Options{
		Path: cfg.Path, Sync: cfg.Durability == "power", Retention: cfg.Retention,
		MaxSize: cfg.MaxSize, MinFree: cfg.MinFree, Cache: cfg.Cache, Log: beside.log, Loop: beside.start,
	})
}

// redisBudget bounds a call to Redis; 0: the driver's 200 ms. Tests want more: a machine
// that has other work takes longer, and the store is away then as it should be.
var redisBudget time.Duration

func openRedis(cfg config.State, beside *loops) (state.Store, error) {
	o, err := redisOptions(cfg)
	if err != nil {
		return nil, err
	}
	o.Log, o.Loop, o.Budget = beside.log, beside.start, redisBudget
	return redisdb.Open(o)
}

func redisOptions(cfg config.State) (redisdb.Options, error) {
	o := redisdb.Options{URL: cfg.Redis, CAFile: cfg.RedisCAFile, Path: cfg.Path, Retention: cfg.Retention}
	if cfg.RedisPasswordFile != "" {
		raw, err := os.ReadFile(cfg.RedisPasswordFile)
		if err != nil {
			return o, fmt.Errorf("state.redis_password_file: %w", err)
		}
		o.Password = config.Password(raw)
	}
	return o, nil
}

// readConfig reads and checks the configuration. What only the store's driver knows
// of its address, which config does not, is a fault like any other.
func readConfig(file string, named bool) (*config.Config, []config.Fault) {
	cfg, faults := config.Load(file, named)
	if len(faults) > 0 || cfg.State.Backend != "redis" {
		return cfg, faults
	}
	o, err := redisOptions(cfg.State)
	if err == nil {
		err = redisdb.Check(o)
	}
	if err == nil {
		return cfg, nil
	}
	at, line := cfg.Rules.Origin("state.redis")
	if at == "" {
		at = cfg.File
	}
	return cfg, []config.Fault{{File: at, Line: line, Key: "state.redis", Problem: err.Error(), Want: "an address as o2n-milter.toml(5) has them"}}
}

// storePatience bounds the end of the store: what it has answered for is on disk
// already, and one whose folder is gone tries for ever.
const storePatience = 20 * time.Second

func closeStore(store state.Store, log *slog.Logger) {
	done := make(chan error, 1)
	go func() { done <- store.Close() }()
	select {
	case err := <-done:
		if err != nil {
			log.Error("store", "error", err)
		}
	case <-time.After(storePatience):
		log.Error("store does not close, giving up on it")
	}
}
