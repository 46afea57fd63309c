package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const manual = "../../docs/man/o2n-milter.8.pod"

// manualSection is what stands in the manual page below a heading.
func manualSection(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n=head1 "+name+"\n")
	if !found {
		t.Fatalf("%s: no section %s", manual, name)
	}
	body, _, _ := strings.Cut(rest, "\n=head1 ")
	return body
}

// A paragraph about a command begins with "=item B<block add>"; one about a flag of the
// command above it with "=item B<--for>".
var (
	commandItem = regexp.MustCompile(`(?m)^=item B<([a-z][a-z -]*)>`)
	boldFlag    = regexp.MustCompile(`B<--([a-z-]+)>`)
)

// everywhere are the flags of every command.
var everywhere = []string{"config", "help", "json"}

// documented are the commands of the manual page, each with the flags that its part
// names, in order. A command may have several synopses.
func documented(t *testing.T) map[string][]string {
	text := manualSection(t, "COMMANDS")
	at := commandItem.FindAllStringSubmatchIndex(text, -1)
	list := map[string][]string{}
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		name := text[m[2]:m[3]]
		flags := list[name]
		for _, f := range boldFlag.FindAllStringSubmatch(text[m[0]:end], -1) {
			flags = append(flags, f[1])
		}
		slices.Sort(flags)
		list[name] = slices.DeleteFunc(slices.Compact(flags), func(name string) bool { return slices.Contains(everywhere, name) })
	}
	return list
}

// commands are those that there are, with their own flags, in order.
func commands() map[string][]string {
	root := (&app{}).rootCommand()
	root.InitDefaultCompletionCmd()
	list := map[string][]string{}
	below(root, func(c *cobra.Command, name string) {
		if c.Hidden {
			return
		}
		var flags []string
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f.Name) })
		slices.Sort(flags)
		list[name] = flags
	})
	return list
}

// TestManualNamesEveryCommand: the manual page has each command with each of its flags,
// and no other.
func TestManualNamesEveryCommand(t *testing.T) {
	if diff := cmp.Diff(commands(), documented(t)); diff != "" {
		t.Errorf("- there is, + the manual page has\n%s", diff)
	}
	var global []string
	(&app{}).rootCommand().PersistentFlags().VisitAll(func(f *pflag.Flag) { global = append(global, f.Name) })
	global = append(global, "help") // cobra's own
	var got []string
	for _, m := range boldFlag.FindAllStringSubmatch(manualSection(t, "OPTIONS"), -1) {
		got = append(got, m[1])
	}
	slices.Sort(got)
	slices.Sort(global)
	got = slices.DeleteFunc(slices.Compact(got), func(name string) bool { return name == "follow" }) // it is mentioned
	for _, list := range [][]string{got, global} {
		if diff := cmp.Diff(everywhere, list); diff != "" {
			t.Errorf("OPTIONS: %s", diff)
		}
	}
}

// TestManualNamesEveryExitCode: those of the manual page are those of main.go.
func TestManualNamesEveryExitCode(t *testing.T) {
	var got []int
	for _, m := range regexp.MustCompile(`(?m)^=item B<(\d+)>`).FindAllStringSubmatch(manualSection(t, "EXIT STATUS"), -1) {
		code, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, code)
	}
	var want []int
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^(?:const |\t)exit[A-Z]\w+ += (\d+)`).FindAllSubmatch(text, -1) {
			code, err := strconv.Atoi(string(m[1]))
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, code)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestManualExamples runs each example of the manual page against a daemon, as a script,
// with an id that is there in place of that of the page.
func TestManualExamples(t *testing.T) {
	examples := regexp.MustCompile(`(?m)^    o2n-milter (.+)$`).FindAllStringSubmatch(manualSection(t, "EXAMPLES"), -1)
	if len(examples) < 15 {
		t.Fatalf("only %d examples found", len(examples))
	}
	script := exampleWorld
	for _, m := range examples {
		if fault := unknownCommand(strings.Fields(m[1])); fault != "" {
			t.Errorf("%s: %s", m[0], fault)
		}
		line, _, _ := strings.Cut(m[1], " >") // the shell's
		words := strings.Fields(strings.ReplaceAll(line, "7K3QF2M9", "$ID"))
		run := "exits 0 o2n-milter " + strings.Join(words, " ") + " --config rules.toml\n"
		if words[0] == "doctor" { // what it says of the host of a test is nobody's fault
			run = "exec sh -c 'o2n-milter doctor --config rules.toml; test $? -le 1'\n"
		}
		script += run
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "examples.txt"), []byte(script+exampleFiles), 0o600); err != nil {
		t.Fatal(err)
	}
	runScripts(t, dir)
}

// exampleWorld is what the examples find: a daemon that has refused a message, and one on hold.
const exampleWorld = `
freetcp MILTER
expand rules.toml
holdmail state mx9.host.example waiting 7K3QF2MA
daemon daemon o2n-milter serve --config rules.toml
await unix admin.sock
await tcp $MILTER
milter $MILTER alice@client-a.example ceo@bank.example identity.header_from
awaitoutput 1 ^20 o2n-milter history --config rules.toml --rule identity.header_from
exec sh -c 'o2n-milter history --config rules.toml --rule identity.header_from | awk ''NR == 2 { print $2 }'''
setid ID
`

const exampleFiles = `
-- rules.toml --
[milter]
listen = ["tcp:$MILTER"]
[state]
path = "state"
[admin]
socket = "admin.sock"
[web]
listen = ""
[limit.minute]
max = 10
window = "1m"
-- new.toml --
[recipients]
max_visible = 5
-- MAIL.eml --
From: alice@client-a.example
To: friend@remote.example
Date: Mon, 23 Nov 2026 10:00:00 +0000

Hello.
-- archive.mbox --
From alice@client-a.example Mon Nov 23 10:00:00 2026
From: alice@client-a.example
To: friend@remote.example
Date: Mon, 23 Nov 2026 10:00:00 +0000

Hello.
`
