package main

import (
	"bytes"
	"fmt"
	"strings"
)

// head begins the copyright file (DEP-5). Its first stanza is about our own files.
const head = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: o2n-milter
Comment: vendor/ is what the program is linked with; vendor/std stands for Go's own
 runtime and standard library.

Files: *
Copyright: 2026, the o2n-milter maintainers
License: o2n-milter
 All rights are reserved by the o2n-milter maintainers; their sources come without
 a licence to others.
`

// stanza is a text, and all that it is about.
type stanza struct {
	text  string
	files []legal
}

// copyrightFile has every legal text once, and says what each is about.
func copyrightFile(modules []module) []byte {
	var out bytes.Buffer
	out.WriteString(head)
	for _, s := range stanzas(modules) {
		out.WriteByte('\n')
		s.write(&out)
	}
	return out.Bytes()
}

// stanzas has one for each text that holds a licence. What else stands beside it
// (NOTICE, PATENTS) goes with it.
func stanzas(modules []module) []*stanza {
	var list []*stanza
	byText := map[string]*stanza{}
	for _, m := range modules {
		for _, f := range m.Legal {
			if len(licencesIn(f.Text, true)) == 0 {
				continue
			}
			text := f.Text
			for _, beside := range m.Legal {
				if beside.Dir == f.Dir && len(licencesIn(beside.Text, true)) == 0 {
					text += "\n" + beside.Name + ":\n\n" + beside.Text
				}
			}
			s := byText[text]
			if s == nil {
				s = &stanza{text: text}
				byText[text] = s
				list = append(list, s)
			}
			s.files = append(s.files, f)
		}
	}
	return list
}

func (s *stanza) write(out *bytes.Buffer) {
	sep := "Files:"
	for _, f := range s.files {
		fmt.Fprintf(out, "%s vendor/%s/*\n", sep, f.Dir)
		sep = "      "
	}
	who := holders(s.text)
	if len(who) == 0 {
		who = []string{"the authors of " + s.files[0].Dir + ", whom its licence does not name"}
	}
	fmt.Fprintf(out, "Copyright: %s\n", strings.Join(who, "\n           "))
	// A name that no other text has, as the wording differs.
	name := strings.NewReplacer("/", "-").Replace(s.files[0].Dir)
	fmt.Fprintf(out, "License: %s-%s\n", strings.Join(licencesIn(s.text, true), "-"), name)
	for _, line := range strings.Split(strings.TrimRight(shortened(s.text), "\n"), "\n") {
		if line = strings.TrimRight(line, " \t\f"); line == "" {
			line = "."
		}
		out.WriteString(" " + strings.ReplaceAll(line, "\t", "    ") + "\n")
	}
}
