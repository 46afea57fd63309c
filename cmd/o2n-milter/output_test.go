package main

import "testing"

func TestShowSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 64e6: "64.0 MB", 2.5e9: "2.5 GB",
		1e12: "1.0 TB", 1e16: "10000.0 TB",
	} {
		if got := showSize(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"Zoë, 10\u00a0€":               "Zoë, 10\u00a0€",
		"\x1b[2J\u009b\r\n\t\x07":      "?[2J?????",
		"txt.\u202eexe\u202c":          "txt.?exe?",
		"a\u2066b\u200bc\u200fd":       "a?b?c?d",
		"\ufeff\u2028\U000e0041\ufffd": "???\ufffd",
	} {
		if got := clean(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
