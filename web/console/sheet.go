package console

import (
	"embed"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"o2n-milter/web/page"
)

//go:embed templates
var files embed.FS

// The pages.
var (
	loginForm      = parse("login")
	failPage       = parse("fail")
	overviewPage   = parse("overview")
	searchPage     = parse("search")
	subjectPage    = parse("subject")
	blocksPage     = parse("blocks")
	blockPage      = parse("block")
	requestsPage   = parse("requests")
	heldPages      = parse("held")
	heldMailPage   = parse("heldmail")
	exemptionsPage = parse("exemptions")
	auditPage      = parse("audit")
	decisionPage   = parse("decision")
)

func parse(name string) *page.Template {
	return page.Parse(nil, files, "templates/base.html", "templates/parts.html", "templates/"+name+".html")
}

// sheet is what one page shows, a View's Data.
type sheet struct {
	Title    string
	Menu     string // the entry of the menu that it belongs to, a path
	Page     any    // for the page's own template
	Operator string // empty: nobody is logged in
	Proxied  bool
	Done     []string // what was just done
	form     form     // that is shown again with its fault

	template *page.Template
}

// item is an entry of the menu.
type item struct{ Path, Name string }

// Items are the menu.
func (s *sheet) Items() []item {
	return []item{
		{"/admin/", "Overview"}, {"/admin/blocks", "Blocks"}, {"/admin/requests", "Requests"}, {"/admin/held", "Held mail"},
		{"/admin/exemptions", "Exemptions"}, {"/admin/audit", "Audit"},
	}
}

// view makes a page of s; the console speaks English.
func (c *console) view(r *http.Request, s *sheet) *page.View {
	view := c.Page.View(r)
	view.Lang, view.Title, view.Site, view.Wide, view.Data = page.English, page.Visible(s.Title)+" · o2n-milter", "o2n-milter", true, s
	return view
}

// render writes the page to an operator who is logged in.
func (v *visit) render(status int, s *sheet) {
	s.Operator, s.Proxied, s.form = v.session.Operator, v.session.Proxied, v.form
	if v.r.Method != http.MethodHead {
		s.Done = v.sessions.takeFlashes(v.key)
	}
	view := v.view(v.r, s)
	view.Bound = v.session.bound
	v.Page.Render(v.w, v.r, status, s.template, view)
}

// perPage entries of a list stand on one page.
const perPage = 50

// pager says which part of a list is shown, and where the others are.
type pager struct {
	Older, Newer string // addresses; empty: there are none
}

// cut returns the part of a list, newest first, that this page shows.
func cut[T any](r *http.Request, list []T) ([]T, pager) {
	n, err := strconv.Atoi(r.FormValue("page"))
	if err != nil || n < 0 || n > len(list)/perPage {
		n = 0
	}
	var p pager
	if n > 0 {
		p.Newer = pageURL(r, n-1)
	}
	if (n+1)*perPage < len(list) {
		p.Older = pageURL(r, n+1)
	}
	return list[n*perPage : min(len(list), (n+1)*perPage)], p
}

// pageURL is the address of the n-th page of the list that r shows.
func pageURL(r *http.Request, n int) string {
	q := r.URL.Query()
	q.Set("page", strconv.Itoa(n))
	return "?" + q.Encode()
}

// subjectURL is the address of a subject's page.
func subjectURL(subject string) string {
	return "/admin/subject?" + url.Values{"subject": {subject}}.Encode()
}

// only keeps what wanted says of a list that is not shared.
func only[T any](list []T, wanted func(T) bool) []T {
	return slices.DeleteFunc(list, func(v T) bool { return !wanted(v) })
}
