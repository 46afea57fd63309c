package peers

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"o2n-milter/tests/bombs"
	"o2n-milter/tests/campaign"
	"o2n-milter/tests/mta"
)

// letterOf is a bomb as a letter.
func letterOf(b bombs.Bomb) mta.Letter {
	l := mta.Letter{Login: attacker, Sender: attacker, Recipients: []string{"friend@remote.example"}, Body: b.Body}
	for _, f := range b.Header {
		l.Header = append(l.Header, f.Name+": "+f.Value)
	}
	return l
}

// odd are bombs that are none of a shape.
func odd() []mta.Letter {
	plain := letterOf(bombs.Shape{Name: "plain", Type: "text/plain", Pattern: []string{"a"}}.Make(10, true))
	many, macros, long, page := plain, plain, plain, plain
	many.Recipients = nil
	for i := range campaign.Pick(2000, 20_000) {
		many.Recipients = append(many.Recipients, fmt.Sprintf("bob@remote%d.example", i))
	}
	macros.QueueID = strings.Repeat("Q", 900_000)
	long.Body = strings.Repeat("0123456789 abcde\r\n", campaign.Pick(5, 50)<<20/18)
	page.Header = append(slices.Clone(page.Header[:3]), "Content-Type: text/html")
	page.Body = strings.Repeat("<div><b>a", campaign.Pick(5, 50)<<20/9)
	return []mta.Letter{many, macros, long, page, letterOf(bombs.Fields(10_000)), letterOf(bombs.Fields(20_001))}
}

// TestBombs: each mail that is meant to be dear is answered, and however many come at
// once, an honest one is served and memory stays bounded.
func TestBombs(t *testing.T) {
	w := newWorld(t, 0)
	letters := odd()
	for _, s := range bombs.Known {
		letters = append(letters, letterOf(s.Make(s.Size(), false)))
	}
	r := campaign.Rand(t)
	for range campaign.Pick(0, 300) {
		s := bombs.Random(r)
		letters = append(letters, letterOf(s.Make(s.Size(), r.IntN(2) == 0)))
	}
	count := campaign.Counting(t, "cost bombs", "mail that is meant to be dear, 20 at once")
	w.meanwhile("bombs, 20 at once", func() {
		var wg sync.WaitGroup
		next := make(chan mta.Letter)
		for i := range 20 {
			wg.Go(func() {
				for l := range next {
					begin := time.Now()
					out, err := w.send(1<<16+i, l)
					if err != nil || out.Reply.Code == 0 {
						count.Failed()
						t.Errorf("%s: %v, %v after %v", title(l), out.Reply, err, time.Since(begin))
						continue
					}
					count.Held()
				}
			})
		}
		for _, l := range letters {
			next <- l
		}
		close(next)
		wg.Wait()
	})
	_, most := w.Memory()
	late := strings.Count(w.Log(), "no verdict in time")
	t.Logf("%d bombs, %d of them not judged in time; %d MiB at most", len(letters), late, most)
	if notJudged := strings.Count(w.Log(), "message not judged"); notJudged > late {
		t.Errorf("%d messages were not judged", notJudged)
	}
	if most > 512 {
		t.Errorf("the daemon had %d MiB", most)
	}
	w.recovered(512)
}

// title says which it is.
func title(l mta.Letter) string {
	last := l.Header[len(l.Header)-1]
	return fmt.Sprintf("%d fields, the last %.80q, %d recipients, body %.60q", len(l.Header), last, len(l.Recipients), l.Body)
}
