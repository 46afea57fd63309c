package mta

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func need(t testing.TB, file string) {
	t.Helper()
	if _, err := os.Stat(file); err != nil {
		SkipOrFail(t, file)
	}
}

func needRoot(t testing.TB, what string) {
	t.Helper()
	if os.Geteuid() != 0 {
		SkipOrFail(t, "root, which "+what+" needs,")
	}
}

func mkdir(t testing.TB, path string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(path, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// listens looks the port up in the kernel's table. A connection would be a session of its own to the server, and
// trying to bind could take the port from under it.
func listens(t testing.TB, port int) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	// Local address, remote address, state 0A: LISTEN (proc(5)).
	return strings.Contains(string(table), fmt.Sprintf(":%04X 00000000:0000 0A ", port))
}

// saslConf is the configuration of Cyrus SASL for logins in a database file.
func saslConf(db string) string {
	return "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: " + db + "\nmech_list: PLAIN LOGIN\nlog_level: 0\n"
}

// makeLogins fills a sasldb with Logins. A login without realm goes under Host.
func makeLogins(t testing.TB, db string) {
	t.Helper()
	for _, login := range Logins {
		name, realm, found := strings.Cut(login, "@")
		if !found {
			realm = Host
		}
		cmd := exec.Command("saslpasswd2", "-p", "-c", "-f", db, "-u", realm, name)
		cmd.Stdin = strings.NewReader(Password)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("saslpasswd2: %v\n%s", err, out)
		}
	}
}

// pause between two looks at something that takes a moment.
const pause = 10 * time.Millisecond
