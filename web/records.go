package web

import (
	"net/http"

	"o2n-milter/web/desk"
)

func (a *Admin) records(r *http.Request) (any, error) {
	q := desk.RecordQuery{Past: r.FormValue("past")}
	var err error
	if q.Since, err = timeOf(r, "since"); err != nil {
		return nil, err
	}
	if q.Before, err = timeOf(r, "before"); err != nil {
		return nil, err
	}
	if q.Limit, err = limitOf(r, "decisions"); err != nil {
		return nil, err
	}
	return a.Desk.Records(r.Context(), q)
}
