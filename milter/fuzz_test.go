package milter

import (
	"strings"
	"testing"
	"testing/synctest"
)

// FuzzSession sends anything behind a good negotiation. No panic, no hang, no
// goroutine left (the bubble waits for all), the global log silent, nothing
// accepted in the library's way, and a verdict for every end of message.
func FuzzSession(f *testing.F) {
	m := &mta{}
	script := func(lines ...string) []byte {
		var b strings.Builder
		for _, line := range lines {
			b.WriteString(m.step(line))
		}
		return []byte(b.String())
	}
	f.Add(script(helloA, "H x", mailA, "R <r@r.example> i=Q1", "L Subject: one", "N", "B text", "E", "A", "A", "Q"))
	f.Add(script("C local", "M a@host.example", "R <r@r.example>", "E tail", "K", "C IPv6:::1", mailB, "E"))
	f.Add(script("E", "E", "U x", "T", "R x", "M x", "L : x", "C 192.0.2.7"))
	f.Add([]byte("\x00\x00\x00\x06C\x00L\x00\x00x\x00\x00\x00\x01C\x00\x00\x00\x00"))
	f.Add([]byte(packet('L', "a\x00b\x00c\x00") + packet('D', "M") + packet('M', "") + packet('E', "")))
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			f := serve(t, always(reject))
			m := f.session()
			m.write(string(data))
			m.nc.Close()
			synctest.Wait()
			f.stop()
			finals := 0
			for p := range m.packets {
				switch p[0] {
				case 'y':
					finals++
				case 'c':
				default:
					t.Errorf("answered %q", p)
				}
			}
			verdicts, _ := f.notes.all()
			if finals > len(verdicts) || strings.Contains(f.logs.String(), "panic") {
				t.Errorf("%d refusals, %d verdicts; log %s", finals, len(verdicts), f.logs.String())
			}
		})
	})
}
