package ledger

import (
	"fmt"
	"time"

	"o2n-milter/state"
)

// maxName bounds a limit or set with its subject, in bytes: three times that
// (escaped) must fit every store's keys.
const maxName = 4096

// sketchBits is how far apart two sketches can be.
const sketchBits = 64 * len(state.Sketch{})

// CheckAsk makes sure that every store can answer it.
func CheckAsk(now time.Time, ask state.Ask) error {
	if err := state.CheckTime(now); err != nil {
		return err
	}
	before := map[[2]string]time.Duration{} // by set and subject; made of what is usual it takes no memory
	for i := range ask.Charges {
		c := &ask.Charges[i]
		if err := checkWindow(&c.Window); err != nil {
			return err
		}
		if c.Cost < 0 {
			return fmt.Errorf("limit %s: cost %d is negative", c.Limit, c.Cost)
		}
		if err := checkSet(c, before); err != nil {
			return fmt.Errorf("limit %s: %w", c.Limit, err)
		}
	}
	for i, l := range ask.Letters {
		if err := checkLetter(l, ask.Letters[:i]); err != nil {
			return fmt.Errorf("letter of %.100q: %w", l.Subject, err)
		}
	}
	return nil
}

// CheckWindows is CheckAsk for Usage.
func CheckWindows(now time.Time, windows []state.Window) error {
	if err := state.CheckTime(now); err != nil {
		return err
	}
	for i := range windows {
		if err := checkWindow(&windows[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkWindow(w *state.Window) error {
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

// checkSet checks what c says of its set; before is for how long the charges before it
// have members remembered, by set and subject.
func checkSet(c *state.Charge, before map[[2]string]time.Duration) error {
	switch {
	case c.Set == "" && len(c.Members) > 0:
		return fmt.Errorf("%d members of no set", len(c.Members))
	case c.Set == "":
		return nil
	case len(c.Set)+len(c.Subject) > maxName:
		return fmt.Errorf("set %.100q: names of %d bytes; want at most %d", c.Set, len(c.Set)+len(c.Subject), maxName)
	}
	if err := checkMembers(c.Members, c.Remember); err != nil {
		return fmt.Errorf("set %s: %w", c.Set, err)
	}
	name := [2]string{c.Set, c.Subject}
	if remember, ok := before[name]; ok && remember != c.Remember {
		return fmt.Errorf("set %s: members remembered for %s and for %s", c.Set, remember, c.Remember)
	}
	before[name] = c.Remember
	return nil
}

func checkMembers(members []string, remember time.Duration) error {
	switch {
	case len(members) > state.MaxMembers:
		return fmt.Errorf("%d members; want at most %d", len(members), state.MaxMembers)
	case remember < time.Second || remember > state.MaxLength:
		return fmt.Errorf("members remembered for %s; want %s to %s", remember, time.Second, state.MaxLength)
	}
	return nil
}

// checkLetter checks l; before are the letters before it.
func checkLetter(l state.Letter, before []state.Letter) error {
	switch {
	case l.Subject == "" || len(l.Subject) > maxName:
		return fmt.Errorf("a subject of %d bytes; want 1 to %d", len(l.Subject), maxName)
	case l.Near < 0 || l.Near > sketchBits:
		return fmt.Errorf("near is %d bits; want 0 to %d", l.Near, sketchBits)
	case l.Max < 0:
		return fmt.Errorf("max %d is negative", l.Max)
	}
	if err := checkMembers(l.Members, l.Remember); err != nil {
		return err
	}
	for _, b := range before {
		if b.Subject == l.Subject && b.Remember != l.Remember {
			return fmt.Errorf("recipients remembered for %s and for %s", b.Remember, l.Remember)
		}
	}
	return nil
}
