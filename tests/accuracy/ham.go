package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"o2n-milter/message"
	"o2n-milter/rules"
	"o2n-milter/state"
)

// corpus is mail that nobody here wrote; it lies beside the clone where there is one.
const corpus = "../shared/corpus"

// likeness is a letter's sketch and what tells whether two letters are the same.
type likeness struct {
	sketch  state.Sketch
	subject string
	text    string
}

func likenessOf(data []byte) (likeness, bool) {
	raw, err := message.Split(bytes.NewReader(data), 64<<20)
	if err != nil {
		return likeness{}, false
	}
	body, facts := message.ReadBody(raw.Fields, raw.Body), message.Read(raw.Fields)
	sketch, ok := message.Letter{Subject: facts.Subject, Text: body.Text, Links: body.Links, Files: body.Files, Pictures: body.Pictures}.Sketch()
	return likeness{state.Sketch(sketch), facts.Subject, body.Text}, ok
}

// alike counts the pairs of letters with different texts that are taken for one.
func alike(list []likeness) (pairs, all int) {
	for i, a := range list {
		for _, b := range list[:i] {
			if a.text == b.text {
				continue
			}
			all++
			if a.sketch.Distance(b.sketch) <= message.Near {
				pairs++
			}
		}
	}
	return pairs, all
}

// hamSet is a part of the corpus.
type hamSet struct {
	name       string
	mails      [][]byte
	likenesses []likeness
}

// readHam reads the honest mail of the corpus: what says of itself that it is bulk
// apart from what people wrote to people.
func readHam(dir string) ([]*hamSet, error) {
	sets := map[string]*hamSet{}
	for folder, name := range map[string]string{"spam-assassin/easy-ham-1": "easy ham", "spam-assassin/hard-ham-1": "hard ham", "apache+spamassassin": "SpamAssassin's own nice mail",
		"mailgun+talon": "mail programs' replies", "mailgun+flanker": "mail programs' messages"} {
		err := filepath.WalkDir(filepath.Join(dir, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.Contains(path, "__spam__") || strings.Contains(path, "__dkim__") {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			raw, err := message.Split(bytes.NewReader(data), 64<<20)
			if err != nil || len(raw.Fields) == 0 {
				return nil // no message
			}
			full := name + ", person to person"
			if len(message.Read(raw.Fields).Lists.Declared) > 0 {
				full = name + ", lists and newsletters"
			} else if name == "hard ham" {
				full = name + ", undeclared: newsletters, notices, confirmations"
			}
			if sets[full] == nil {
				sets[full] = &hamSet{name: full}
			}
			sets[full].add(data)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var list []*hamSet
	for _, s := range sets {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *hamSet) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

func (h *hamSet) add(data []byte) {
	h.mails = append(h.mails, data)
	if k, ok := likenessOf(data); ok {
		h.likenesses = append(h.likenesses, k)
	}
}

// author is the first sound address in From.
func author(data []byte) (string, error) {
	raw, err := message.Split(bytes.NewReader(data), 64<<20)
	if err != nil {
		return "", err
	}
	for _, l := range message.Read(raw.Fields).From {
		for _, a := range l.Addresses {
			if a.Fault == "" && a.Domain != "" {
				return a.String(), nil
			}
		}
	}
	return "", fmt.Errorf("no author")
}

// judge sends each mail through one server, as its own author's, or all as one account's.
func (h *hamSet) judge(set rules.Settings, as func(data []byte) (string, error)) refused {
	f := refused{byRule: map[string]int{}, mute: len(h.mails) - len(h.likenesses)}
	s := newSender(set)
	for _, data := range h.mails {
		login, err := as(data)
		if err != nil {
			continue
		}
		v, err := s.judge(login, data)
		if err != nil {
			continue
		}
		f.sent++
		if v.Action >= rules.Quarantine {
			f.byRule[v.Rule]++
		}
	}
	f.pairs, f.all = alike(h.likenesses)
	return f
}

func oneAccount([]byte) (string, error) { return account, nil }

// bulkOnly has the bulk rules, and the others in shadow: they come first and would
// hide what bulk rules say.
func bulkOnly(set rules.Settings) rules.Settings {
	set.Actions = maps.Clone(set.Actions)
	for id, action := range set.Actions {
		if action > rules.Shadow && !strings.HasPrefix(id, "bulk.") {
			set.Actions[id] = rules.Shadow
		}
	}
	return set
}
