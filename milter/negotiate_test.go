package milter

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	gomilter "github.com/emersion/go-milter"
	"github.com/google/go-cmp/cmp"
)

// What we answer never holds a bit that was not offered, and the macros are asked
// for only where the MTA lets itself be asked.
func TestNegotiation(t *testing.T) {
	const noReplies = 0x0c7080 // CONNECT, HELO, MAIL, headers, EOH, body
	for _, tt := range []struct {
		name                       string
		version, actions, protocol uint32
		wantActions, wantProtocol  uint32
	}{
		{"all of version 6", 6, allActions, allProtocol, 0x131, noReplies},
		{"more than is known", 7, 0xffffffff, 0xffffffff, 0x131, noReplies},
		{"without quarantine", 6, 0x1ff &^ 0x20, allProtocol, 0x111, noReplies},
		{"without macro lists", 6, 0xff, allProtocol, 0x31, noReplies},
		{"without no-reply for headers", 6, allActions, allProtocol &^ 0x80, 0x131, noReplies &^ 0x80},
		{"version 2", 2, 0x3f, 0x7f, 0x31, 0},
		{"nothing", 2, 0, 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, always(pass))
				got := f.dial("").negotiate(tt.version, tt.actions, tt.protocol)
				f.stop()
				// The reply may have lost NULs at its end.
				want := "O" + offer(2, tt.wantActions, tt.wantProtocol)
				head, macros := got+strings.Repeat("\x00", 13), ""
				if len(got) > 13 {
					macros = got[13:]
				}
				if diff := cmp.Diff([]byte(want), []byte(head[:13])); diff != "" {
					t.Error(diff)
				}
				if asked := macros != ""; asked != (tt.wantActions&0x100 != 0) {
					t.Errorf("macro lists asked for: %v", asked)
				}
			})
		})
	}
}

func TestMacrosAskedFor(t *testing.T) {
	for stage, names := range wantMacros {
		if len(names) > 50 {
			t.Errorf("stage %d: %d names, Sendmail takes 50", stage, len(names))
		}
		if slices.Contains(names, "{auth_author}") {
			t.Errorf("stage %d: {auth_author} is the client's own word", stage)
		}
	}
	if slices.Contains(wantMacros[gomilter.StageConnect], "i") {
		t.Error("i at CONNECT is stale on Sendmail")
	}
	if !slices.Contains(wantMacros[gomilter.StageMailFrom], "{auth_authen}") {
		t.Error("the login is not asked for")
	}
	if wantProtocol&(gomilter.OptRcptRej|gomilter.OptNoRcptReply|gomilter.OptNoDataReply) != 0 {
		t.Errorf("protocol %#x", wantProtocol)
	}
}

// An MTA that did not offer a no-reply bit waits for an answer at that stage; one
// that did must get none.
func TestReplies(t *testing.T) {
	events := []struct {
		line string
		bit  gomilter.OptProtocol
	}{
		{"C 192.0.2.7", gomilter.OptNoConnReply},
		{"H x", gomilter.OptNoHeloReply},
		{"M <a@client-a.example>", gomilter.OptNoMailReply},
		{"R <r@r.example>", 0},
		{"T", 0},
		{"L A: b", gomilter.OptNoHeaderReply},
		{"L : no name", gomilter.OptNoHeaderReply},
		{"L A: b\x00c", gomilter.OptNoHeaderReply},
		{"N", gomilter.OptNoEOHReply},
		{"B text", gomilter.OptNoBodyReply},
		{"U FOO", 0},
		{"E", 0},
	}
	for _, missing := range []gomilter.OptProtocol{0, gomilter.OptNoConnReply, gomilter.OptNoHeloReply, gomilter.OptNoMailReply,
		gomilter.OptNoHeaderReply, gomilter.OptNoEOHReply, gomilter.OptNoBodyReply, wantProtocol} {
		synctest.Test(t, func(t *testing.T) {
			f := serve(t, always(pass))
			m := f.dial("")
			m.negotiate(6, allActions, uint32(allProtocol&^missing))
			for _, ev := range events {
				m.write(m.step(ev.line))
				synctest.Wait()
				want := 1
				if ev.bit&^missing != 0 {
					want = 0
				}
				if got := len(m.packets); got != want {
					t.Errorf("not offered %#x: %q got %d replies, want %d", missing, ev.line, got, want)
				}
				for len(m.packets) > 0 {
					if r := m.reply(); r != "c" {
						t.Errorf("not offered %#x: %q answered %q", missing, ev.line, r)
					}
				}
			}
			f.stop()
		})
	}
}

// A daemon that asks for anything else reads no tapes of this one; the same daemon reads its own.
func TestTapeFormat(t *testing.T) {
	asked := maps.Clone(wantMacros)
	asked[gomilter.StageMailFrom] = []string{"i", "{mail_addr}"} // no login
	seen := map[uint32]bool{}
	for range 20 { // a map has no order
		seen[wishes(wantActions, wantProtocol, maps.Clone(wantMacros))] = true
	}
	if len(seen) != 1 || TapeFormat != 1<<48|uint64(wishes(wantActions, wantProtocol, wantMacros)) {
		t.Errorf("%x, and of the same wishes %v", TapeFormat, seen)
	}
	for what, other := range map[string]uint32{
		"actions":  wishes(wantActions|gomilter.OptAddRcpt, wantProtocol, wantMacros),
		"protocol": wishes(wantActions, wantProtocol|gomilter.OptNoRcptReply, wantMacros),
		"macros":   wishes(wantActions, wantProtocol, asked),
	} {
		if seen[other] {
			t.Errorf("other %s have the same format", what)
		}
	}
}
