package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o2n-milter/doctor"
)

// A daemon and an agent that hang are findings, and leave time to look at all else.
func TestDoctorWaitsForNobody(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"admin.sock", "hold.sock"} { // the kernel takes connections, and nobody answers
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	file := filepath.Join(dir, "o2n-milter.toml")
	text := "[milter]\nlisten = [\"unix:milter.sock\"]\n[state]\nbackend = \"memory\"\n[admin]\nsocket = \"admin.sock\"\n[hold]\nagent = \"hold.sock\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cf := "O InputMailFilters=o2n\nXo2n, S=local:" + filepath.Join(dir, "milter.sock") + ", F=T, T=S:30s;R:30s;E:5m\n"
	if err := os.WriteFile(filepath.Join(dir, "sendmail.cf"), []byte(cf), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	root := a.rootCommand()
	if err := root.PersistentFlags().Set("config", file); err != nil {
		t.Fatal(err)
	}
	cmd, _, err := root.Find([]string{"doctor"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var said []string
	for _, f := range a.examine(ctx, cmd, "sendmail", dir) {
		said = append(said, f.Level.String()+" "+f.Area+": "+f.What)
	}
	if ctx.Err() != nil {
		t.Error("no time is left")
	}
	all := strings.Join(said, "\n")
	for _, want := range []string{
		doctor.Fault.String() + " daemon: daemon at " + filepath.Join(dir, "admin.sock") + ": no answer in ",
		doctor.Note.String() + " sockets: hold.agent: hold agent at " + filepath.Join(dir, "hold.sock") + ": no answer in time",
		doctor.OK.String() + " sendmail: " + filepath.Join(dir, "sendmail.cf") + ": InputMailFilters: the filter is the last milter",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
}
