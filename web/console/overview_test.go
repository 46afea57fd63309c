package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/state"
	"o2n-milter/web/desk"
	"o2n-milter/web/page"
)

func TestCharts(t *testing.T) {
	hours := []desk.Hour{
		{At: noon, Counts: map[string]int64{"none accept": 90, "a reject": 3, "b reject": 2, "limit.minute tempfail": 4, "none off": 1}},
		{At: noon.Add(time.Hour), Counts: map[string]int64{"h quarantine": 7, "g tag": 1, "none accept": 1}},
	}
	labels := []string{"first", "second"}
	got := actionChart(hours, labels).Bars
	want := []page.Bar{{Label: "first", Values: []int64{90, 5, 4, 0, 0}}, {Label: "second", Values: []int64{1, 0, 0, 1, 7}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("by action (-want +got):\n%s", diff)
	}
	for _, n := range []int{mostSeries - 1, mostSeries, mostSeries + 1} {
		counts := []desk.RuleCount{{Rule: "none", Action: "accept", Count: 100}}
		one := desk.Hour{Counts: map[string]int64{"none accept": 100}}
		for i := range n {
			rule := string(rune('a' + i))
			counts = append(counts, desk.RuleCount{Rule: rule, Action: "reject", Count: 1})
			one.Counts[rule+" reject"] = 1
		}
		c := stoppedChart([]desk.Hour{one}, labels, counts)
		sum := int64(0)
		for _, v := range c.Bars[0].Values {
			sum += v
		}
		others := c.Series[len(c.Series)-1] == "others"
		if sum != int64(n) || others != (n > mostSeries) || len(c.Series) != min(n, mostSeries+1) {
			t.Errorf("%d rules: %v, sum %d", n, c.Series, sum)
		}
	}
	if c := stoppedChart(hours, labels, []desk.RuleCount{{Rule: "none", Action: "accept", Count: 1}}); len(c.Bars) != 0 {
		t.Errorf("nothing was stopped: %v", c)
	}
}

func TestAlarmsComeFirst(t *testing.T) {
	w := newWorld(t)
	w.desk.Judge.(*judge).set.Limits = nil
	text := w.operator("alice").get("/admin/").text()
	if i, j := strings.Index(text, "no limit is configured"), strings.Index(text, "Open requests"); i < 0 || i > j {
		t.Errorf("%s", text)
	}
}

// broken is a store that is away.
type broken struct{ state.Store }

var errAway = errors.New("secret detail of the store")

func (broken) Docs(context.Context, string) ([]state.Doc, error) { return nil, errAway }
func (broken) ChangedDocs(context.Context, string, map[string]int64) ([]state.Doc, error) {
	return nil, errAway
}
func (broken) Blocks(context.Context) ([]state.Block, error) { return nil, errAway }
func (broken) AddBlock(context.Context, state.Block) error   { return errAway }
func (broken) Decision(context.Context, string) (state.Decision, error) {
	return state.Decision{}, errAway
}
func (broken) Decisions(context.Context, state.Query) ([]state.Decision, error) { return nil, errAway }

func TestBrokenStoreIsSaid(t *testing.T) {
	w := newWorld(t)
	w.fill("hello")
	b := w.operator("alice")
	form := b.form(aliceURL, "/admin/subject/block", url.Values{"for": {"4h"}})
	w.desk.Store = broken{w.store}
	for _, path := range []string{"/admin/", "/admin/search?q=alice", aliceURL, "/admin/blocks", "/admin/blocks/B1111111", "/admin/requests",
		"/admin/exemptions", "/admin/held", "/admin/held/H1111111", "/admin/audit", "/admin/decisions/7K3QF2M9"} {
		w.log.Reset()
		p := b.get(path)
		if p.status != http.StatusInternalServerError || !strings.Contains(p.text(), "Something went wrong on our side") || strings.Contains(p.body, "secret") {
			t.Errorf("%s: %d %s", path, p.status, p.text())
		}
		if !strings.Contains(w.log.String(), errAway.Error()) {
			t.Errorf("%s: log %q", path, w.log.String())
		}
	}
	if p := b.do(http.MethodPost, "/admin/subject/block", form); p.status != http.StatusInternalServerError {
		t.Errorf("POST: %d", p.status)
	}
}

// What a wrong rule blocks, thousands, does not make the first page one of megabytes.
func TestOverviewOfManyBlocks(t *testing.T) {
	for n, more := range map[int]bool{mostNewest: false, mostNewest + 1: true} {
		w := newWorld(t)
		for i := range n {
			w.block(fmt.Sprint("B", i), fmt.Sprintf("account:u%d@client-a.example", i), "x")
			w.request(fmt.Sprint("R", i), fmt.Sprint("B", i), fmt.Sprintf("account:u%d@client-a.example", i), "x")
		}
		p := w.operator("alice").get("/admin/")
		for what, path := range map[string]string{"blocks": "/admin/blocks/", "requests": "/admin/requests?id="} {
			if got := strings.Count(p.body, `href="`+path); got != mostNewest {
				t.Errorf("of %d %s %d are shown; want %d", n, what, got, mostNewest)
			}
			all := fmt.Sprintf(`<a href="/admin/%s">All %d</a>`, what, n)
			if got := strings.Contains(p.body, all); got != more {
				t.Errorf("of %d %s: a link to all: %v", n, what, got)
			}
		}
	}
}

// TestManyAtOnce is for the race detector: one session, and logins beside it.
func TestManyAtOnce(t *testing.T) {
	l := newSessions()
	k := cookieKey(l.start(noon, "alice"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 100 {
				l.flash(k, "done")
				l.find(noon, k)
				l.takeFlashes(k)
				l.proxied(noon, "zoe")
				if i == 0 {
					l.end(cookieKey(l.start(noon, "bob")))
				}
			}
		})
	}
	wg.Wait()
	if len(l.live) != 2 {
		t.Errorf("%d sessions, want alice's and zoe's", len(l.live))
	}
}

// FuzzAddresses: whatever stands in an address, the page is one, and the answer is
// no fault of ours.
func FuzzAddresses(f *testing.F) {
	f.Add("/admin/subject", "subject", "account:alice@client-a.example")
	f.Add("/admin/blocks/B1111111", "page", "1")
	f.Add("/admin/search", "q", "[rule 7K3QF2M9]")
	f.Add("/admin/subject", "before", "2026-03-14T12:00:00Z")
	f.Add("/admin/login", "code", hostile)
	f.Fuzz(func(t *testing.T, path, name, value string) {
		w := newWorld(t)
		w.fill("hello")
		b := w.operator("alice")
		u := url.URL{Path: "/admin/" + strings.TrimPrefix(path, "/admin/"), RawQuery: url.Values{name: {value}}.Encode()}
		p := b.get(u.String())
		if p.status >= 500 {
			t.Errorf("%s: %d\n%s", u.String(), p.status, w.log.String())
		}
		checkNoMarkup(t, u.Path, p)
	})
}
