package console

import (
	"o2n-milter/state"
	"o2n-milter/web/desk"
)

func (v *visit) audit() (*sheet, error) {
	subject := v.r.FormValue("subject")
	list, err := v.Desk.Audit(v.r.Context(), desk.AuditQuery{Subject: subject, Limit: desk.MostShown})
	if err != nil {
		return nil, err
	}
	p := struct {
		Subject string
		Lines   []state.AuditLine
		Pager   pager
	}{Subject: subject}
	p.Lines, p.Pager = cut(v.r, list.Audit)
	return &sheet{Title: "Audit", Menu: "/admin/audit", template: auditPage, Page: p}, nil
}

func (v *visit) decision() (*sheet, error) {
	d, err := v.Desk.Decision(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return &sheet{Title: "Decision " + d.ID, template: decisionPage, Page: d}, nil
}
