package web

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o2n-milter/tests/campaign"
	"o2n-milter/tests/mta"
)

func freePort(t testing.TB) string { return fmt.Sprintf("127.0.0.1:%d", mta.FreePort(t)) }

// TestAttackSockets: while the pages' port and the admin socket are full of connections
// that say nothing, half of something or a request again and again, mail, pages and
// commands go on as ever.
func TestAttackSockets(t *testing.T) {
	s := newSite(t)
	count := campaign.Counting(t, "web", "mail, pages and commands while sockets are held")
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for i := range campaign.Pick(1100, 3000) {
		network, addr := "tcp", strings.TrimPrefix(s.URL, "http://")
		if i%2 == 1 {
			network, addr = "unix", filepath.Join(s.Dir, "admin.sock")
		}
		c, err := net.Dial(network, addr)
		if err != nil {
			break // no descriptors are left to us
		}
		open = append(open, c)
		_, _ = io.WriteString(c, []string{
			"", "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "GET /v1/status HTTP/1.1\r\nHost: x\r\nX-A: ", "POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n{",
		}[i/2%4])
	}
	if len(open) < 1050 {
		t.Fatalf("only %d connections", len(open))
	}
	for i := range 10 {
		began := time.Now()
		what := map[string]bool{
			"the page":   s.visitor().do(http.MethodGet, s.link(alice), "").status == http.StatusOK,
			"/metrics":   s.Get("/metrics") == http.StatusOK,
			"the socket": func() bool { code, _ := s.admin(http.MethodGet, "/v1/status", ""); return code == http.StatusOK }(),
			"a command":  i > 0 || s.Command(t, "status") != "",
			"mail":       s.mail(fmt.Sprintf("carol%d@client-c.example", i)),
		}
		for name, good := range what {
			if !good {
				count.Failed()
				t.Errorf("round %d: %s", i, name)
				continue
			}
			count.Held()
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("round %d took %v", i, took)
		}
	}
}

// mail says whether a message of a login passes.
func (s *site) mail(login string) bool {
	s.t.Helper()
	f, err := mta.DialFilter("unix", filepath.Join(s.Dir, "milter.sock"))
	s.check(err)
	defer f.Quit()
	s.check(f.Connect("home.example", "203.0.113.8", 4711))
	out, err := f.Deliver(mta.Letter{
		Login: login, Sender: login, Recipients: []string{"friend@remote.example"}, QueueID: "4TX",
		Header: []string{"From: " + login, "To: friend@remote.example", "Subject: x"}, Body: "x\r\n",
	})
	s.check(err)
	return out.Reply.Code == 250
}
