package main

import (
	"regexp"
	"slices"
	"strings"
)

// kinds are the licences that we know, by words that stand in each of their texts and
// in no other's. Line breaks count as spaces.
var kinds = []struct {
	debian, spdx string
	words        string
}{
	{"Apache-2.0", "Apache-2.0", "Apache License Version 2.0, January 2004"},
	{"Expat", "MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"BSD", "BSD", "Redistribution and use in source and binary forms"},
	{"MPL-2.0", "MPL-2.0", "Mozilla Public License Version 2.0"},
	{"ISC", "ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
}

func known() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.spdx)
	}
	return names
}

// licencesIn says which licences stand in a text, by their names in SPDX or in Debian.
func licencesIn(text string, debian bool) []string {
	text = strings.Join(strings.Fields(text), " ")
	var found []string
	for _, k := range kinds {
		if !strings.Contains(text, k.words) {
			continue
		}
		name := k.spdx
		if debian {
			name = k.debian
		}
		found = append(found, clauses(name, text, debian))
	}
	return found
}

// clauses tells the BSD licences apart: the third clause is about names.
func clauses(name, text string, debian bool) string {
	if name != "BSD" {
		return name
	}
	number, clause := "2", "Clause"
	if debian {
		clause = "clause"
	}
	if strings.Contains(strings.ToLower(text), "neither the name") {
		number = "3"
	}
	return "BSD-" + number + "-" + clause
}

// licences are a module's, by their names in SPDX.
func (m module) licences() []string {
	var all []string
	for _, f := range m.Legal {
		all = append(all, licencesIn(f.Text, false)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// holder is a line that says who holds a right, in difference to one that speaks of
// copyright notices, and to the blank form at the end of the Apache License.
var holder = regexp.MustCompile(`(?m)^[\s/*#]*(?:Portions )?Copyright (?:\([cC]\) |© )?([^\s\[{].*?)\s*$`)

// holders are those of a text, in its order.
func holders(text string) []string {
	var list []string
	for _, found := range holder.FindAllStringSubmatch(text, -1) {
		if who := found[1]; who != "notice" && !slices.Contains(list, who) {
			list = append(list, who)
		}
	}
	return list
}

// apache is the text of the Apache License, which every Debian system has. Not everybody
// copies it with its last line, and with the form for one's own name after that.
var apache = regexp.MustCompile(`(?s)[ \t]*Apache License\s+Version 2\.0, January 2004.*?accepting any such warranty\s+or additional liability\.\n` +
	`(?:\s*END OF TERMS AND CONDITIONS\n)?(?:\s*APPENDIX.*?limitations under the License\.\n)?`)

const apacheIsHere = "The Apache License, Version 2.0, which on Debian systems is in\n/usr/share/common-licenses/Apache-2.0\n"

// shortened is a text without what every Debian system has.
func shortened(text string) string { return apache.ReplaceAllLiteralString(text, apacheIsHere) }
