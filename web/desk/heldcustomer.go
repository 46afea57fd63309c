package desk

import (
	"context"
	"slices"

	"o2n-milter/state"
)

const (
	// mostHeldShown messages, the latest, stand on a customer's page.
	mostHeldShown = 100
	// mostHeldTo recipients of a message are named there.
	mostHeldTo = 5
)

// holds says that a held message is the account's own: its customer's other accounts
// see nothing of it.
func (h *holder) holds(m state.Held) bool {
	if m.Account != "" {
		return m.Account == h.login
	}
	return h.owns(m.Subject)
}

// CustomerHeld is an account's own held mail.
func (d *Desk) CustomerHeld(ctx context.Context, account string) (CustomerHeldList, error) {
	h, err := d.holderOf(ctx, account)
	if err != nil {
		return CustomerHeldList{}, err
	}
	all, err := d.heldMail(ctx)
	if err != nil {
		return CustomerHeldList{}, err
	}
	list := CustomerHeldList{Held: []CustomerHeld{}}
	for _, m := range slices.Backward(all) {
		switch {
		case !stillHeld(m) || !h.holds(m):
		case len(list.Held) == mostHeldShown:
			list.More++
		default:
			list.Held = append(list.Held, customerHeld(m))
		}
	}
	return list, nil
}

func customerHeld(m state.Held) CustomerHeld {
	v := heldView(m)
	n := min(len(m.Recipients), mostHeldTo)
	return CustomerHeld{
		ID: v.ID, Since: v.Since, Due: v.Due, Rule: v.Rule, State: v.State, Wish: v.Wish, About: v.About,
		To: m.Recipients[:n:n], MoreTo: len(m.Recipients) - n,
	}
}

// DeleteHeld deletes a held message for the account that sent it. A link of an SMTP
// reply goes to whoever holds the password: it does not.
func (d *Desk) DeleteHeld(ctx context.Context, who Actor, account string, scope Scope, id string) error {
	h, err := d.holderOf(ctx, account)
	if err != nil {
		return err
	}
	all, err := d.heldMail(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(m state.Held) bool { return m.ID == id && h.holds(m) })
	switch {
	case i < 0:
		return notFound("no held mail %.100q", id)
	case scope != ScopeFull:
		return bad("this link may not delete mail: open the page from the customer area")
	}
	done, err := d.WishHeld(ctx, who, WishHeld{Wish: state.WishDelete, IDs: []string{all[i].ID}})
	if err == nil && done.Held[0].Outcome == HeldLate {
		err = conflict("held mail %s is %s already", id, done.Held[0].State)
	}
	return err
}
