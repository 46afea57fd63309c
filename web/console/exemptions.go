package console

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"o2n-milter/web/desk"
)

func (v *visit) exemptions() (*sheet, error) {
	p := struct {
		All        bool
		One        bool
		Exemptions []desk.ExemptionView
		Pager      pager
		Exempt     exemptForm
	}{All: v.r.FormValue("all") != ""}
	s := &sheet{Title: "Exemptions", Menu: "/admin/exemptions", template: exemptionsPage}
	if id := v.one(); id != "" {
		e, err := v.exemptionNamed(id)
		if err != nil {
			return nil, err
		}
		p.One, p.Exemptions = true, []desk.ExemptionView{e}
	} else {
		list, err := v.Desk.Exemptions(v.r.Context(), p.All)
		if err != nil {
			return nil, err
		}
		p.Exemptions, p.Pager = cut(v.r, list.Exemptions)
	}
	p.Exempt = v.exemptForm(s, "")
	s.Page = p
	return s, nil
}

func (v *visit) exemptionNamed(id string) (desk.ExemptionView, error) {
	list, err := v.Desk.Exemptions(v.r.Context(), true)
	if err != nil {
		return desk.ExemptionView{}, err
	}
	for _, e := range list.Exemptions {
		if e.ID == id {
			return e, nil
		}
	}
	return desk.ExemptionView{}, missing("no exemption %.100q", id)
}

// exemptForm is the form for a new exemption.
type exemptForm struct {
	Sheet   *sheet
	Subject string // set: of this subject only
	Rules   []string
	LastDay string // suggested
}

// suggestedDays is how long an exemption is suggested to last.
const suggestedDays = 30

func (v *visit) exemptForm(s *sheet, subject string) exemptForm {
	last := v.Now().UTC().AddDate(0, 0, suggestedDays)
	return exemptForm{Sheet: s, Subject: subject, Rules: v.Desk.Exemptible(), LastDay: last.Format(time.DateOnly)}
}

func (v *visit) addExemption() (desk.ExemptionView, string, error) {
	in := desk.AddExemption{
		Subject: v.r.PostFormValue("subject"), Rule: v.r.PostFormValue("rule"), Domain: strings.TrimSpace(v.r.PostFormValue("domain")),
		Owner: v.r.PostFormValue("owner"), Reason: v.r.PostFormValue("reason"),
	}
	var err error
	if in.Factor, err = factor(v.r.PostFormValue("factor")); err != nil {
		return desk.ExemptionView{}, "", err
	}
	if in.For, err = untilEndOf(v.Now(), v.r.PostFormValue("for")); err != nil {
		return desk.ExemptionView{}, "", err
	}
	e, err := v.Desk.AddExemption(v.r.Context(), v.actor(), in)
	return e, fmt.Sprintf("Exempted %s from %s (%s) %s: %s.", e.Subject, e.Rule, e.Scope, ending(&e.Until), e.ID), err
}

// factor reads a number; empty: 0.
func factor(s string) (int64, error) {
	if s = strings.TrimSpace(s); s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, wrong("factor %.20q: no number", s)
	}
	return n, nil
}

// untilEndOf says how long it is from now to the end of a day, in UTC, as the desk
// wants it.
func untilEndOf(now time.Time, day string) (string, error) {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return "", wrong("for %.20q: no date; want one like %s", day, now.UTC().Format(time.DateOnly))
	}
	left := t.AddDate(0, 0, 1).Sub(now.UTC().Truncate(time.Second))
	if left <= 0 {
		return "", wrong("for %s: this day is over", day)
	}
	return fmt.Sprintf("%ds", left/time.Second), nil
}

func (v *visit) exempt() (to, done string, err error) {
	_, done, err = v.addExemption()
	return "/admin/exemptions", done, err
}

func (v *visit) removeExemption() (to, done string, err error) {
	e, err := v.Desk.RemoveExemption(v.r.Context(), v.actor(), desk.RemoveExemption{
		ID: v.r.PathValue("id"), Reason: v.r.PostFormValue("reason"),
	})
	return "/admin/exemptions", fmt.Sprintf("Exemption %s of %s from %s is %s.", e.ID, e.Subject, e.Rule, e.State), err
}
