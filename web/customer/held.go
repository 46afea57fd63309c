package customer

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"o2n-milter/state"
	"o2n-milter/web/desk"
	"o2n-milter/web/page"
)

// heldForm binds the form tokens to the forms that delete held mail.
const heldForm = "held"

// held is a message on hold.
type held struct {
	desk.CustomerHeld
	More      int64      // recipients that are not named
	Why       string     // the rule's name
	Leaves    string     // key of how it leaves; empty: At says when
	At        *time.Time // nil: not known
	CanDelete bool
}

// heldMail is what the page shows of it.
func (v *visit) heldMail(l page.Lang, list []desk.CustomerHeld) []held {
	var shown []held
	for _, h := range list {
		row := held{CustomerHeld: h, More: int64(h.MoreTo), Why: ruleName(l, h.Rule), Leaves: leaves(h)}
		if row.Leaves == "" {
			row.At = h.Due
			if row.At == nil || !row.At.After(v.desk.Now()) {
				row.At, row.Leaves = nil, waits(h.Rule)
			}
		}
		row.CanDelete = v.scope == desk.ScopeFull && h.State != state.HeldLeaving && h.Wish != state.WishDelete
		shown = append(shown, row)
	}
	return shown
}

// leaves is the key of how a message leaves, where that is no matter of time.
func leaves(h desk.CustomerHeld) string {
	switch {
	case h.State == state.HeldLeaving:
		return "held.leaving"
	case h.Wish != state.WishNone:
		return "held.to." + string(h.Wish)
	case h.State == state.HeldKept:
		return "held.kept"
	}
	return ""
}

// waits is the key of what a message waits for.
func waits(rule string) string {
	switch {
	case rule == "block.active":
		return "held.block"
	case strings.HasPrefix(rule, "limit."):
		return "held.room"
	}
	return "held.soon"
}

// post takes one of the page's forms.
func (v *visit) post() {
	err := v.page.CheckForm(v.r, v.token, formName)
	if errors.Is(err, page.ErrForm) && v.r.PostForm.Has("held") {
		v.deleteHeld(v.page.CheckForm(v.r, v.token, heldForm))
		return
	}
	v.ask(err)
}

// deleteHeld takes the form that deletes a held message; err is what is wrong with
// its token.
func (v *visit) deleteHeld(err error) {
	if err != nil {
		v.show(http.StatusForbidden, entry{}, "error.held.token")
		return
	}
	if v.r.PostForm.Get("sure") != "yes" {
		v.show(http.StatusUnprocessableEntity, entry{}, "error.held.sure")
		return
	}
	if ok, _ := v.deletes.Allow(v.desk.Now(), v.whose()); !ok {
		v.show(http.StatusTooManyRequests, entry{}, "error.held.many")
		return
	}
	err = v.desk.DeleteHeld(v.r.Context(), v.actor(), v.account, v.scope, v.r.PostForm.Get("held"))
	switch {
	case errors.Is(err, desk.ErrNotFound), errors.Is(err, desk.ErrConflict):
		// Another's mail, or none: both are not there.
		v.show(http.StatusConflict, entry{}, "error.held.gone")
	case errors.Is(err, desk.ErrBad):
		v.show(http.StatusForbidden, entry{}, "held.area")
	case err != nil:
		v.fail(err)
	default:
		v.again()
	}
}
