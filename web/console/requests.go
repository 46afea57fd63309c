package console

import (
	"fmt"
	"strings"

	"o2n-milter/web/desk"
)

// requests are the open ones, all, or the one that the address names.
func (v *visit) requests() (*sheet, error) {
	p := struct {
		All      bool
		One      bool
		Requests []desk.RequestView
		Pager    pager
	}{All: v.r.FormValue("all") != ""}
	s := &sheet{Title: "Requests", Menu: "/admin/requests", template: requestsPage}
	if id := v.one(); id != "" {
		r, err := v.requestNamed(id)
		if err != nil {
			return nil, err
		}
		p.One, p.Requests = true, []desk.RequestView{r}
	} else {
		list, err := v.Desk.Requests(v.r.Context(), p.All)
		if err != nil {
			return nil, err
		}
		p.Requests, p.Pager = cut(v.r, list.Requests)
	}
	s.Page = p
	return s, nil
}

// one is the id that a list shall show alone, empty for the whole list: the one
// asked for, or of a form that is shown again.
func (v *visit) one() string {
	if id := v.r.PathValue("id"); id != "" {
		return id
	}
	return v.r.FormValue("id")
}

func (v *visit) requestNamed(id string) (desk.RequestView, error) {
	list, err := v.Desk.Requests(v.r.Context(), true)
	if err != nil {
		return desk.RequestView{}, err
	}
	for _, r := range list.Requests {
		if r.ID == id {
			return r, nil
		}
	}
	return desk.RequestView{}, missing("no request %.100q", id)
}

// answer approves or denies a request, by the button that was pressed.
func (v *visit) answer() (to, done string, err error) {
	in := desk.AnswerRequest{Request: v.r.PathValue("id"), Text: v.r.PostFormValue("reason")}
	if v.r.PostFormValue("answer") != "approve" {
		// Deny is also what is meant by no button at all: it changes least.
		r, err := v.Desk.Deny(v.r.Context(), v.actor(), in)
		return "/admin/requests", fmt.Sprintf("Denied request %s of %s: the block stays.", r.ID, r.Account), err
	}
	r, err := v.Desk.Approve(v.r.Context(), v.actor(), in)
	done = fmt.Sprintf("Approved request %s of %s: no block was in force.", r.ID, r.Account)
	if len(r.Lifted) > 0 {
		done = fmt.Sprintf("Approved request %s of %s: lifted %s.", r.ID, r.Account, strings.Join(r.Lifted, ", "))
	}
	return "/admin/requests", done, err
}
