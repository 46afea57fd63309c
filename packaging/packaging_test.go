// Package packaging has tests only: that what the package ships is good.
package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"o2n-milter/config"
)

// need skips, loudly, where a program is not there.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("SKIPPED: %s is missing", program)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Each example is a file of conf.d as it is, but for files that it names.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("examples/*.toml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v; want the examples", files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		etc := t.TempDir()
		if err := os.WriteFile(etc+"/redis.password", []byte("secret\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		text, main := strings.ReplaceAll(string(raw), "/etc/o2n-milter", etc), etc+"/o2n-milter.toml"
		name := main
		if filepath.Base(file) == "accounts.toml" { // which the main file names
			name = etc + "/accounts.toml"
			if err := os.WriteFile(main, []byte("[accounts]\nfile = \"accounts.toml\"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if cfg, faults := config.Load(main, true); len(faults) > 0 || len(cfg.Notes) > 0 {
			t.Errorf("%s: faults %v, notes %v", file, faults, cfg.Notes)
		}
	}
}

// The postinst's hosts.toml is one that the daemon reads.
func TestHosts(t *testing.T) {
	script, err := os.ReadFile("deb/o2n-milter.postinst")
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(script), "\n# renew puts")
	if !ok {
		t.Fatal("postinst: no comment of renew; want what stands before it")
	}
	for _, tt := range []struct {
		mailname, host, want string // of host only "hostname" knows
	}{
		{"Provider.example\n", "web1.provider.example", `"mail.example", "provider.example", "web1.provider.example"`},
		{"web1.provider.example", "web1.provider.example", `"mail.example", "web1.provider.example"`},
		{"localhost", "web1", `"mail.example", "web1"`},
		{"", "localhost", `"mail.example"`},
		{"x\"]\nevil.example; rm", "a_b.example", `"mail.example"`},
	} {
		etc := t.TempDir()
		text := strings.NewReplacer("etc=/etc/o2n-milter", "etc="+etc, "/etc/mailname", etc+"/mailname").Replace(head)
		if tt.mailname != "" { // else there is no such file
			if err := os.WriteFile(etc+"/mailname", []byte(tt.mailname), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(etc+"/conf.d", 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, "sh", "-c", text+"\nhostname() { [ $# = 0 ] && echo "+tt.host+"; }\npostconf() { printf 'Mail.example\\n/etc/mailname\\n'; }\nown() { chmod $1 $2; }\numask 077\nname_hosts\n")
		main := etc + "/o2n-milter.toml"
		if err := os.WriteFile(main, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		cfg, faults := config.Load(main, true)
		if len(faults) > 0 {
			t.Fatalf("%q, %q: %v", tt.mailname, tt.host, faults)
		}
		if got := strings.Trim(strings.ReplaceAll(fmt.Sprintf("%q", cfg.Rules.Hosts), " ", ", "), "[]"); got != tt.want {
			t.Errorf("%q, %q: hosts %s, want %s", tt.mailname, tt.host, got, tt.want)
		}
	}
}

// The exposure that systemd computes is 1.0 at most; 9 and more is what other milters have.
func TestSandbox(t *testing.T) {
	need(t, "systemd-analyze")
	unit, err := filepath.Abs("../systemd/o2n-milter.service")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=10", unit)
}

func TestScriptsParse(t *testing.T) {
	for _, script := range []string{"deb/o2n-milter.postinst", "deb/o2n-milter.postrm"} {
		run(t, "sh", "-n", script)
	}
	for _, script := range []string{"build-deb", "check-deb", "install", "deb/tests/mail"} {
		run(t, "bash", "-n", script)
	}
}

func TestPlaybook(t *testing.T) {
	need(t, "python3")
	if exec.Command("python3", "-c", "import yaml").Run() != nil {
		t.Skip("SKIPPED: python3 has no yaml (package python3-yaml)")
	}
	const count = `import sys, yaml; plays = yaml.safe_load(open(sys.argv[1])); print(len(plays), all("name" in t for t in plays[0]["tasks"]))`
	if got := run(t, "python3", "-c", count, "../docs/ansible.yml"); got != "1 True\n" {
		t.Errorf("ansible.yml: %q; want one play, each task with a name", got)
	}
}
