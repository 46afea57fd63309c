package rules

import (
	"fmt"
	"testing"
	"time"
)

// TestTooManyDestinations: Postfix stops at 1,000 recipients, Sendmail takes any number.
// Each destination is a window for each limit that counts them; a message is not charged
// to more of these than Redis answers for while others wait.
func TestTooManyDestinations(t *testing.T) {
	for _, action := range []Action{Tempfail, Shadow, Off} {
		for _, n := range []int{maxCharges - 1, maxCharges, maxCharges + 1} {
			b := newBench(t, func(s *Settings) {
				s.Limits = []Limit{{Name: "many", Subject: "domain", Unit: Messages, Max: 1, Window: time.Hour, Action: Tempfail}}
				s.MaxEnvelope = 1 << 20
				s.Actions["message.too_complex"] = action
			})
			m := mail()
			m.Recipients = nil
			for k := range n {
				m.Recipients = append(m.Recipients, Recipient{Address: fmt.Sprintf("bob@remote%d.example", k)})
			}
			if n > maxCharges && action == Tempfail {
				v := b.decide(t, m)
				check(t, v, Tempfail, "message.too_complex", "message.too_complex: more destinations than are counted at once")
				if len(v.Charges) != mostRecorded || len(v.Windows) > 0 {
					t.Errorf("%d charges told, %d windows charged", len(v.Charges), len(v.Windows))
				}
				continue
			}
			check(t, b.decide(t, m), Accept, "none")
			check(t, b.decide(t, m), Tempfail, "limit.many") // it was charged to all
		}
	}
}
