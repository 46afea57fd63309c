//go:build nspawn

package pkgtest

import (
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// TestUpgrade goes from the package of the previous commit to this one and back, and
// then back from a store that only a later version can read.
func TestUpgrade(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short upgrades under load only")
	}
	now, first := deb(t), *earlierFile
	if first == "" {
		t.Skip("SKIPPED: no -earlier FILE, so no upgrade from the previous commit is tried")
	}
	m := boot(t, "trixie", "Debian 13 with Postfix: upgrade and downgrade", first, now, loadProgram(t))
	m.install(filepath.Base(first))
	m.wirePostfix()
	m.sinkOn()
	m.firstMail()
	m.upgrade(filepath.Base(now), version(t, now))
	m.doctor()
	m.exposure()
	m.campaign(disturbances{every: 1500 * time.Millisecond, restarts: 3, kills: 3})
	m.downgrade(filepath.Base(first), version(t, first))
	m.newerStore()
}

// upgrade keeps what the operator has written, what was counted, and blocks.
func (m *Machine) upgrade(file, version string) {
	m.step("Upgrade", "What the operator has written stays without a question, and so do blocks and windows.")
	m.do("sed -i 's/^max = 1000$/max = 1001/' /etc/o2n-milter/o2n-milter.toml && systemctl reload o2n-milter")
	m.do("o2n-milter block add account:bob@client-a.example --for 4h --reason 'stolen password'")
	m.do("apt-get install -y ./"+file, `^Setting up o2n-milter`, `!(?i)error`, `!(?i)fail`)
	m.do("dpkg-query -W o2n-milter; grep '^max = 1001' /etc/o2n-milter/o2n-milter.toml", regexp.QuoteMeta(version))
	m.do("systemctl is-active o2n-milter.service o2n-milter.socket o2n-milter-postfix.socket o2n-milter-admin.socket o2n-milter-web.socket o2n-milter-hold.socket")
	m.do("o2n-milter usage account:alice@client-a.example", `^day +1 +1001 `)
	m.mail(asBob, `550 5\.7\.1 .* \[block\.active \w+\]`)
	m.passes()
}

// faultyUpgrade finds a fault in the configuration: the old process goes on, and the new
// version takes over when the fault is mended.
func (m *Machine) faultyUpgrade(file, version string) {
	m.step("Upgrade with a fault in the configuration", "The new version says it, and the process of the old one goes on until it is mended.")
	pid := m.mainPID()
	m.do("echo '[reciepients]' >" + rulesFile)
	m.do("apt-get install -y ./"+file, regexp.QuoteMeta(rulesFile)+`:1: .*reciepients`)
	m.passes()
	if now := m.mainPID(); now != pid {
		m.t.Errorf("process %d became %d", pid, now)
	}
	m.do("dpkg-query -W o2n-milter", regexp.QuoteMeta(version))
	m.do("rm " + rulesFile + " && systemctl restart o2n-milter")
	m.passes()
}

// downgrade works while the store is one that the older version can read.
func (m *Machine) downgrade(file, version string) {
	m.step("Downgrade", "To a version that can read the store.")
	m.do("apt-get install -y --allow-downgrades ./"+file, `^Setting up o2n-milter`)
	m.do("dpkg-query -W o2n-milter", regexp.QuoteMeta(version))
	m.mail(asBob, `550 5\.7\.1 .* \[block\.active \w+\]`)
	m.passes()
}

// formatKey is where the store says how it is written.
const formatKey = "meta/format"

// newerStore fakes what a later version has written: the daemon refuses it in one
// sentence, and when a version that can read it is back nothing is lost.
func (m *Machine) newerStore() {
	m.step("A store of a later version", "(Its format number is raised by hand.) The daemon says so and does not touch it.")
	m.quiet("systemctl stop o2n-milter.service o2n-milter*.socket")
	format := m.setFormat("9")
	m.fails(1, "systemctl start o2n-milter", `failed`)
	m.do("journalctl -q --no-pager -o cat -u o2n-milter -n 8", `written by a newer o2n-milter: install that version again, or use another folder`)
	m.quiet("systemctl stop o2n-milter.service o2n-milter*.socket")
	m.setFormat(format)
	m.do("systemctl start o2n-milter-postfix.socket o2n-milter")
	m.mail(asBob, `550 5\.7\.1 .* \[block\.active \w+\]`)
	m.passes()
}

// setFormat sets the store's format number, and returns the one before.
func (m *Machine) setFormat(to string) (from string) {
	m.t.Helper()
	dirs, err := filepath.Glob(filepath.Join(m.root, "var/lib/o2n-milter/badger"))
	if err != nil || len(dirs) != 1 {
		m.t.Fatalf("store: %v, %v", dirs, err)
	}
	// The daemon takes tables for damaged that it would not have written so.
	db, err := badger.Open(badger.DefaultOptions(dirs[0]).WithLogger(nil).WithCompression(options.None))
	if err != nil {
		m.t.Fatal(err)
	}
	err = db.Update(func(txn *badger.Txn) error {
		item, err := txn.Get([]byte(formatKey))
		if err != nil {
			return err
		}
		value, err := item.ValueCopy(nil)
		from = string(value)
		if err != nil {
			return err
		}
		return txn.Set([]byte(formatKey), []byte(to))
	})
	if err != nil {
		m.t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.quiet("chown -R o2n-milter:o2n-milter /var/lib/o2n-milter")
	return from
}
