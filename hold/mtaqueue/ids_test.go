package mtaqueue

import (
	"strings"
	"testing"
)

func TestValidID(t *testing.T) {
	const long = "4VdC8H2sQ9z3kMn"
	for _, c := range []struct {
		id                string
		postfix, sendmail bool
	}{
		{"3434E9B9651", true, false},
		{"0123AB", true, false},
		{"0123A", false, false},
		{strings.Repeat("A", 21), true, false},
		{strings.Repeat("A", 22), false, false},
		{"3434e9b9651", false, false},
		{long, true, false},
		{"4VdC8H2sQ9z", false, false}, // no inode
		{"4VdC8H2sQ9z" + strings.Repeat("k", 12), true, false},
		{"4VdC8H2sQ9z" + strings.Repeat("k", 13), false, false},
		{"4VdC8H2sA9z3kMn", false, false}, // a vowel
		{"4VdC8H2sQ9z3kzn", false, false}, // a second z
		{"6AN6Jw3T011894", false, true},
		{"6AN6Jw3T0118942", false, true},
		{"6AN6Jw3T01189422", false, false},
		{"6AN6Jw3T01189", false, false},
		{"6AN6Jy3T011894", false, false}, // y is the 61st digit
		{"20261123", true, false},
		{"20261123000000", true, true}, // digits are digits anywhere
		{"", false, false},
		{"ALL", false, false},
		{"-", false, false},
		{"--", false, false},
		{"-d", false, false},
		{"-c/tmp/x", false, false},
		{"../x", false, false},
		{"../../etc/passwd", false, false},
		{"3434E9B9651/../../x", false, false},
		{"3434E9B9651\n", false, false},
		{"3434E9B9651\nALL", false, false},
		{"6AN6Jw3T011894\n", false, false},
		{"3434E9B9651\x00", false, false},
		{"3434E9B9651 ALL", false, false},
		{" 3434E9B9651", false, false},
		{"3434E9B965１", false, false}, // a full-width digit
		{"*", false, false},
		{"6AN6Jw3T*", false, false},
		{"!6AN6Jw3T01189", false, false}, // -qI! would mean all others
		{strings.Repeat("A", 1<<20), false, false},
	} {
		if got := (&postfix{}).ValidID(c.id); got != c.postfix {
			t.Errorf("Postfix %.40q: %v", c.id, got)
		}
		if got := (&sendmail{}).ValidID(c.id); got != c.sendmail {
			t.Errorf("Sendmail %.40q: %v", c.id, got)
		}
	}
}

func TestHashOf(t *testing.T) {
	for id, want := range map[string]string{
		"3434E9B9651":     "3434E9B9651",
		"4VdC8H0000z3kMn": "00000",
		"4VdC8H0001z3kMn": "00001",
		"4VdC8H75plz3kMn": "F423F",
		"4VdC8H0sf8z3kMn": "1E240",
		"4VdC8H50Dtz3kMn": "ABCDE",
	} {
		if got := hashOf(id); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
}
