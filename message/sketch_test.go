package message

import (
	"math/bits"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const parcel = `Bonjour Mme Durand,

Votre colis n° 84512 est en attente au centre de tri. Pour le recevoir, merci de payer
les frais de port de 1,99 € avant le 24 novembre 2026. Sans paiement de votre part, le
colis sera renvoyé à son expéditeur. Cliquez sur le bouton pour choisir votre créneau.

Cordialement,
Le service des livraisons
`

func BenchmarkSketch(b *testing.B) {
	var varied strings.Builder
	for i := 0; varied.Len() < 64<<10; i++ {
		varied.WriteString(parcel[i%40:])
		varied.WriteString(string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + "ouvelle ")
	}
	for name, size := range map[string]int{"500": 500, "4K": 4 << 10, "64K": 64 << 10} {
		l := Letter{Subject: "Votre colis", Text: varied.String()[:size]}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			begin := threadTime(b)
			for b.Loop() {
				l.Sketch()
			}
			b.ReportMetric(float64(threadTime(b)-begin)/float64(b.N), "cpu-ns/op")
		})
	}
}

// threadTime is the processor time of this thread in nanoseconds: a busy machine does not count.
func threadTime(tb testing.TB) int64 {
	tb.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		tb.Fatal(err)
	}
	return now.Nano()
}

func distance(t *testing.T, a, b Letter) int {
	t.Helper()
	x, okX := a.Sketch()
	y, okY := b.Sketch()
	if !okX || !okY {
		t.Fatalf("no sketch of %q or %q", a.Subject, b.Subject)
	}
	n := 0
	for i := range x {
		n += bits.OnesCount64(x[i] ^ y[i])
	}
	return n
}

func TestSketchTellsLettersApart(t *testing.T) {
	other := `Hello Bob,

the minutes of last week's meeting are below. Please tell me by Friday whether the
part about the warehouse is what we agreed on; I was not sure who will order the shelves.

Kind regards,
Anna
`
	first := Letter{Subject: "Votre colis", Text: parcel}
	same := Letter{Subject: "RE: votre COLIS", Text: strings.ReplaceAll(strings.ToUpper(parcel), " ", "  ")}
	if d := distance(t, first, same); d > 5 {
		t.Errorf("case and blanks: %d bits", d)
	}
	if d := distance(t, first, Letter{Subject: "Minutes", Text: other}); d < 100 {
		t.Errorf("another letter: %d bits", d)
	}
}
