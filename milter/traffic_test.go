package milter

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/rules"
)

// What came through is counted by what the MTA told, message by message.
func TestTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, judgeFunc(func(_ context.Context, m *rules.Mail) rules.Verdict {
			v := pass
			v.Judged = m.Login != "" || m.Local
			return v
		}))
		m := f.session()
		m.run(helloA, mailA+" i=Q1", "R <r@r.example> rcpt_addr=r@r.example rcpt_mailer=smtp", "E", "A")
		m.run("M <b@b.example>", "R <r@r.example>", "E")     // nothing but j and the client
		m.run(mailA, "R <r@r.example>", "A")                 // never ended
		m.run("C local", "M www-data", "R r@r.example", "E") // on the same connection: another SMTP session
		old := f.dial("")
		old.negotiate(2, 0, 0)
		old.run(helloA)
		synctest.Wait()
		want := []Traffic{{
			On: f.ln.Addr().Network() + ":" + f.ln.Addr().String(), Sessions: 3, Deaf: 1, CannotHold: 1,
			Messages: 3, Logins: 1, Local: 1, Unjudged: 1,
			Macros: map[string]int64{"i": 1, "j": 2, "client_addr": 2, "daemon_name": 0, "auth_authen": 1, "mail_addr": 1, "rcpt_addr": 1, "rcpt_mailer": 1},
		}}
		got := f.Traffic()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		got[0].Macros["i"] = 100 // a copy
		if f.Traffic()[0].Macros["i"] != 1 {
			t.Error("what is told is not a copy")
		}
		m.nc.Close()
		old.nc.Close()
		f.stop()
	})
}
