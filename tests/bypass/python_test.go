package bypass

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// readers is a Python program that reads mail, one in base64 a line, and answers with
// whom it takes for the author, by its two parsers: the lenient one of most programs,
// and the one that knows the standard's obsolete forms.
const readers = `
import sys, base64, json, email, email.utils, email.policy
for n, line in enumerate(sys.stdin):
    mail = base64.b64decode(line)
    found = []
    try:
        m = email.message_from_bytes(mail)
        found.append(email.utils.parseaddr(str(m['From'] or ''))[1])
        found.append(email.utils.parseaddr(''.join(str(x) for x in m.get_all('From', [])[:1]))[1])
    except Exception:
        pass
    if n < int(sys.argv[1]):
        try:
            m = email.message_from_bytes(mail, policy=email.policy.default)
            found += [a.username + '@' + a.domain for a in m['From'].addresses[:1]] if m['From'] else []
        except Exception:
            pass
    print(json.dumps(found))
`

// slowly is how many mails the slower parser reads.
const slowly = 2000

// readByPython fails for every mail that Python takes for somebody else's.
func readByPython(t *testing.T, passed []trial) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Logf("SKIPPED: no python3, so nothing is said of how its programs read what passed")
		return
	}
	var in bytes.Buffer
	for _, tr := range passed {
		in.WriteString(base64.StdEncoding.EncodeToString(wire(tr.header, tr.body)) + "\n")
	}
	cmd := exec.Command(python, "-I", "-c", readers, strconv.Itoa(slowly))
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = &in, &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python3: %v\n%s", err, said.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(passed) && len(passed) > 0 {
		t.Fatalf("python3 read %d of %d mails", len(lines), len(passed))
	}
	failures := 0
	for i, tr := range passed {
		var authors []string
		if err := json.Unmarshal([]byte(lines[i]), &authors); err != nil {
			t.Fatalf("%q: %v", lines[i], err)
		}
		for _, a := range authors {
			if isForeignAuthor(a) && failures < 5 {
				failures++
				t.Errorf("%q\npasses, and Python takes it for mail of %s", wire(tr.header, nil), a)
			}
		}
	}
}

// isForeignAuthor says whether a reader's author is somebody else's address. A word
// without a dot in it behind a blank, which Python takes for the domain's end, is a name to
// the rules: "alice@client-a.example Alice B.". What is no host name is no address.
func isForeignAuthor(author string) bool {
	at := strings.LastIndexByte(author, '@')
	domain := strings.ToLower(author[at+1:])
	if more, ok := strings.CutPrefix(domain, ownDomain); ok && !strings.Contains(strings.TrimSuffix(more, "."), ".") {
		return false
	}
	return at >= 0 && strings.Contains(domain, ".") && !strings.ContainsAny(domain, "\ufffd\uff20\ufe6b=") && foreignIn("@"+domain) != ""
}
