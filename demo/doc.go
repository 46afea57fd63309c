// Package demo is the first run without an MTA: a small SMTP door that asks the
// filter as Postfix does, the MTA's queue for what is held, and a made-up day of a
// hosting provider. The daemon is the real one, a process of its own with a
// configuration of its own.
//
// Invariants: everything listens on loopback; no message leaves, what the door takes
// is counted and thrown away; all files are in Options.Dir.
package demo
