package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// shellWait bounds what a shell does for one key press here, however busy the host is.
const shellWait = time.Minute

// world is a daemon in a folder of its own.
type world struct {
	t   *testing.T
	dir string
}

// newWorld starts a daemon with one limit, on no port but a milter socket of its own.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t, t.TempDir()}
	w.write("link.key", strings.Repeat("0f", 32))
	w.write("rules.toml", `
[milter]
listen = ["unix:milter.sock"]
[state]
path = "state"
[admin]
socket = "admin.sock"
[web]
listen = ""
link_key_file = "link.key"
[limit.minute]
max = 10
window = "1m"
[account."alice@client-a.example"]
domains = ["client-a.example"]
`)
	log, err := os.Create(filepath.Join(w.dir, "daemon.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	daemon := exec.Command("o2n-milter", "serve", "--config", "rules.toml")
	daemon.Dir, daemon.Stderr = w.dir, log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Kill() // it may have ended
		_ = daemon.Wait()
	})
	w.await()
	return w
}

// await waits for the daemon to answer.
func (w *world) await() {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("unix", filepath.Join(w.dir, "admin.sock"))
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(filepath.Join(w.dir, "daemon.log"))
			w.t.Fatalf("the daemon does not answer: %v\n%s", err, said)
		}
	}
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// exec runs a program in the folder, and gives what it prints.
func (w *world) exec(name string, args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), shellWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = w.dir
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, errOut.Bytes())
	}
	return string(out)
}

// ask runs a command of ours against the daemon, in this process, and gives what it prints.
func (w *world) ask(args ...string) string {
	w.t.Helper()
	var out, errOut bytes.Buffer
	args = append([]string{"--config", filepath.Join(w.dir, "rules.toml")}, args...)
	if args[2] == "__complete" { // wants to be first
		args[0], args[1], args[2] = args[2], args[0], args[1]
	}
	if code := run(args, strings.NewReader(""), &out, &errOut); code != exitOK {
		w.t.Fatalf("%q: exit code %d\n%s%s", args, code, out.Bytes(), errOut.Bytes())
	}
	return out.String()
}

// installed skips, by its name, a test whose program is not there.
func installed(t *testing.T, program, pkg string) {
	t.Helper()
	_, err := exec.LookPath(program)
	if strings.HasPrefix(program, "/") {
		_, err = os.Stat(program)
	}
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatalf("%s is missing (package %s)", program, pkg)
	case err != nil:
		t.Skipf("SKIPPED: %s is missing (package %s)", program, pkg)
	}
}

// asBash does what bash does when Tab is pressed behind each of the lines that are its
// arguments.
const asBash = `
source /usr/share/bash-completion/bash_completion
source <(o2n-milter completion bash)
complete=$(complete -p o2n-milter | sed 's/.*-F \([^ ]*\) .*/\1/')
for COMP_LINE; do
	COMP_POINT=${#COMP_LINE} COMPREPLY=()
	read -ra COMP_WORDS <<<"$COMP_LINE"
	[[ $COMP_LINE == *" " ]] && COMP_WORDS+=("")
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	$complete 2>/dev/null
	echo "${COMPREPLY[@]%% *}" # what is behind a word is about it
done
`

func TestCompletionInBash(t *testing.T) {
	t.Parallel()
	installed(t, "bash", "bash")
	installed(t, "/usr/share/bash-completion/bash_completion", "bash-completion")
	w := newWorld(t)
	id := strings.TrimSpace(w.ask("block", "add", "account:alice@client-a.example", "--for", "1h"))
	tried := [][2]string{
		{"o2n-milter confi", "configtest"},
		{"o2n-milter block li", "lift list"},
		{"o2n-milter block list --al", "--all"},
		{"o2n-milter held list --rule block", "block.active"},
		{"o2n-milter --config rules.toml held list --rule limit.m", "limit.minute"},
		{"o2n-milter doctor --mta post", "postfix"},
		{"o2n-milter --config rules.toml block lift B", id},
		{"o2n-milter --config rules.toml block lift " + id + " ", ""},
		{"o2n-milter --config nosuch.toml block lift B", ""},
		{"o2n-milter --config rul", "rules.toml"},
	}
	args := []string{"-c", asBash, "bash"}
	for _, line := range tried {
		args = append(args, line[0])
	}
	got := strings.Split(w.exec("bash", args...), "\n")
	for i, line := range tried {
		if got[i] != line[1] {
			t.Errorf("%q: %q, want %q", line[0], got[i], line[1])
		}
	}
}

func TestCompletionInFish(t *testing.T) {
	t.Parallel()
	installed(t, "fish", "fish")
	w := newWorld(t)
	got := w.exec("fish", "--no-config", "-c", "o2n-milter completion fish | source; complete -C 'o2n-milter block li'")
	if want := "lift\tEnd a block, or all active blocks of a subject\nlist\tList the blocks in force\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestCompletionInZsh: the script is one that zsh takes; what it asks the program for is
// the same as with the other shells.
func TestCompletionInZsh(t *testing.T) {
	t.Parallel()
	installed(t, "zsh", "zsh")
	w := newWorld(t)
	got := w.exec("zsh", "-f", "-c", "autoload -U compinit; compinit -D; source <(o2n-milter completion zsh) && print $_comps[o2n-milter]")
	if want := "_o2n-milter\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestCompletedIDs: each command is offered what it can do something to, once, with a word
// about it; and nothing at all, soon, when the daemon is away.
func TestCompletedIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := func(line string) string { return w.ask(strings.Fields(line)...) }
	block := strings.TrimSpace(ask("block add account:alice@client-a.example --for 1h"))
	lifted := strings.TrimSpace(ask("block add ip:192.0.2.7 --for 1h"))
	ask("block lift " + lifted)
	exemption := strings.TrimSpace(ask("exempt add account:alice@client-a.example --rule limit.minute --for 1d --reason club"))
	of := map[string]string{
		block:     "\taccount:alice@client-a.example, manual\n",
		lifted:    "\tip:192.0.2.7, manual\n",
		exemption: "\taccount:alice@client-a.example, limit.minute\n",
	}
	for line, want := range map[string][]string{
		"block lift": {block}, "block extend": {block}, "block show": {block, lifted}, "exempt remove": {exemption},
		"request deny": nil, "held release": nil, "explain": nil, "version": nil,
	} {
		out := w.ask(append(append([]string{"__complete"}, strings.Fields(line)...), "")...)
		for _, id := range []string{block, lifted, exemption} {
			if got := strings.Contains(out, id+of[id]); got != slices.Contains(want, id) {
				t.Errorf("%s: offers %s: %t\n%s", line, id, got, out)
			}
		}
		// The last line is for the shell; a flag that is wanted is offered too.
		if n := strings.Count(out, "\n") - strings.Count(out, "--"); n != len(want)+1 {
			t.Errorf("%s: %d lines\n%s", line, n, out)
		}
	}
}

// TestCompletionWaitsForNobody: a daemon that takes a connection and says nothing costs
// whoever presses Tab a second.
func TestCompletionWaitsForNobody(t *testing.T) {
	t.Parallel()
	w := &world{t, t.TempDir()}
	w.write("rules.toml", fmt.Sprintf("[admin]\nsocket = %q\n", filepath.Join(w.dir, "admin.sock")))
	ln, err := net.Listen("unix", filepath.Join(w.dir, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	began := time.Now()
	if got, want := w.ask("__complete", "block", "lift", ""), ":4\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if took := time.Since(began); took < completeWait || took > 20*completeWait {
		t.Errorf("it took %s, want %s and not much more", took, completeWait)
	}
}
