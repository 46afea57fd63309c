// Package pkgtest installs the Debian package in systems with a mail server of
// their own, where systemd is the first process, and does there what an operator
// does from the first installation to purge (build tag nspawn; root). What it does
// and sees there is docs/package-transcript.md.
//
// Each system is unpacked for a test, has no network but its loopback interface,
// and is gone with the test. install and tree say what is needed and how a system
// is made; load is the program that sends mail meanwhile and counts what becomes of it.
package pkgtest
