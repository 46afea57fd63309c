package customer

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"o2n-milter/web/desk"
	"o2n-milter/web/page"
)

// mostAnswer bounds each answer, in bytes: the desk's own bound.
const mostAnswer = 4000

// entry is what the form holds.
type entry struct {
	Block    string
	Happened string
	Done     string
	Password string // "yes", "no", empty: not chosen
	Self     bool
	Faults   []fault
}

// fault is what is wrong with a field.
type fault struct {
	Field string // happened, done or password
	Text  string // key
}

// Fault is the key of what is wrong with a field, empty for nothing.
func (e entry) Fault(field string) string {
	for _, f := range e.Faults {
		if f.Field == field {
			return f.Text
		}
	}
	return ""
}

func readEntry(form url.Values) entry {
	e := entry{
		Block:    form.Get("block"),
		Happened: form.Get("happened"),
		Done:     form.Get("done"),
		Password: form.Get("password"),
		Self:     form.Get("self") != "",
	}
	e.check("happened", e.Happened)
	e.check("done", e.Done)
	if e.Password != "yes" && e.Password != "no" {
		e.Password = ""
		e.Faults = append(e.Faults, fault{"password", "error.password"})
	}
	return e
}

// check finds what the desk would refuse, to say it in the customer's language.
func (e *entry) check(field, answer string) {
	answer = strings.TrimSpace(strings.ReplaceAll(answer, "\r\n", "\n"))
	text := ""
	switch {
	case answer == "":
		text = "error." + field
	case len(answer) > mostAnswer:
		text = "error.long"
	case !utf8.ValidString(answer) || strings.ContainsFunc(answer, isControl):
		text = "error.plain"
	default:
		return
	}
	e.Faults = append(e.Faults, fault{field, text})
}

func isControl(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }

// ask takes the form; err is what is wrong with it as a form. What was written is
// never lost to a fault.
func (v *visit) ask(err error) {
	if err != nil && !errors.Is(err, page.ErrForm) {
		v.page.Fail(v.w, v.r, page.FormStatus(err))
		return
	}
	e := readEntry(v.r.PostForm)
	if err != nil {
		v.show(http.StatusForbidden, e, "error.token")
		return
	}
	if len(e.Faults) > 0 {
		v.show(http.StatusUnprocessableEntity, e, "")
		return
	}
	if ok, _ := v.asks.Allow(v.desk.Now(), v.whose()); !ok {
		v.show(http.StatusTooManyRequests, e, "error.many")
		return
	}
	v.answer(e)
}

// answer hands a sound form to the desk.
func (v *visit) answer(e entry) {
	_, err := v.desk.Ask(v.r.Context(), v.actor(), desk.AskUnblock{
		Account: v.account, Scope: v.scope, Block: e.Block,
		Happened: e.Happened, Done: e.Done, Password: e.Password == "yes", Self: e.Self,
	})
	switch {
	case errors.Is(err, desk.ErrNotFound):
		// Another's block, or none: both are not there.
		v.show(http.StatusConflict, entry{}, "error.gone")
	case errors.Is(err, desk.ErrConflict):
		v.show(http.StatusConflict, entry{}, "error.conflict")
	case errors.Is(err, desk.ErrBad):
		v.show(http.StatusUnprocessableEntity, e, "error.bad")
	case err != nil:
		v.fail(err)
	default:
		v.again()
	}
}
