package ledger

import (
	"fmt"
	"time"

	"o2n-milter/state"
)

// maxName bounds a limit or set with its subject, in bytes: three times that
// (escaped) must fit every store's keys.
const maxName = 4096

// CheckAsk makes sure that every store can answer it.
func CheckAsk(now time.Time, ask state.Ask) error {
	if err := state.CheckTime(now); err != nil {
		return err
	}
	for i, c := range ask.Charges {
		if err := checkWindow(c.Window); err != nil {
			return err
		}
		if c.Cost < 0 {
			return fmt.Errorf("limit %s: cost %d is negative", c.Limit, c.Cost)
		}
		if err := checkSet(c, ask.Charges[:i]); err != nil {
			return fmt.Errorf("limit %s: %w", c.Limit, err)
		}
	}
	return nil
}

// CheckWindows is CheckAsk for Usage.
func CheckWindows(now time.Time, windows []state.Window) error {
	if err := state.CheckTime(now); err != nil {
		return err
	}
	for _, w := range windows {
		if err := checkWindow(w); err != nil {
			return err
		}
	}
	return nil
}

func checkWindow(w state.Window) error {
	switch {
	case w.Limit == "" || w.Subject == "":
		return fmt.Errorf("window %q of %q: a name is empty", w.Limit, w.Subject)
	case len(w.Limit)+len(w.Subject) > maxName:
		return fmt.Errorf("limit %.100q: names of %d bytes; want at most %d", w.Limit, len(w.Limit)+len(w.Subject), maxName)
	case w.Length < time.Second || w.Length > state.MaxLength:
		return fmt.Errorf("limit %s: window of %s; want %s to %s", w.Limit, w.Length, time.Second, state.MaxLength)
	case w.Max < 0:
		return fmt.Errorf("limit %s: max %d is negative", w.Limit, w.Max)
	}
	return nil
}

// checkSet checks what c says of its set; before are the charges before it.
func checkSet(c state.Charge, before []state.Charge) error {
	switch {
	case c.Set == "" && len(c.Members) > 0:
		return fmt.Errorf("%d members of no set", len(c.Members))
	case c.Set == "":
		return nil
	case len(c.Set)+len(c.Subject) > maxName:
		return fmt.Errorf("set %.100q: names of %d bytes; want at most %d", c.Set, len(c.Set)+len(c.Subject), maxName)
	case len(c.Members) > state.MaxMembers:
		return fmt.Errorf("set %s: %d members; want at most %d", c.Set, len(c.Members), state.MaxMembers)
	case c.Remember < time.Second || c.Remember > state.MaxLength:
		return fmt.Errorf("set %s: members remembered for %s; want %s to %s", c.Set, c.Remember, time.Second, state.MaxLength)
	}
	for _, b := range before {
		if b.Set == c.Set && b.Subject == c.Subject && b.Remember != c.Remember {
			return fmt.Errorf("set %s: members remembered for %s and for %s", c.Set, b.Remember, c.Remember)
		}
	}
	return nil
}
