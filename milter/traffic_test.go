package milter

import (
	"context"
	"math/rand/v2"
	"slices"
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
		letter := []string{mailA, "R <r@r.example>", "L Message-Id: <1@client-a.example>", "E", "A"}
		m.run(append([]string{helloA}, letter...)...)
		m.run(letter...)                                                                                                                                                        // again
		m.run(mailA, "R <other@r.example>", "L Message-Id: <1@client-a.example>", "E")                                                                                          // to another
		m.run("M <a@client-a.example>", "R <r@r.example>", "L Message-ID: <2@b.example>", "E", "M <a@client-a.example>", "R <r@r.example>", "L Message-ID: <2@b.example>", "E") // inbound
		old := f.dial("")
		old.negotiate(2, 0, 0)
		old.run(helloA)
		synctest.Wait()
		want := []Traffic{{
			On: f.ln.Addr().Network() + ":" + f.ln.Addr().String(), Sessions: 4, Deaf: 1, CannotHold: 1,
			Messages: 8, Logins: 4, Local: 1, Unjudged: 3, Again: 1,
			Macros: map[string]int64{"i": 1, "j": 7, "client_addr": 7, "daemon_name": 0, "auth_authen": 4, "mail_addr": 4, "rcpt_addr": 1, "rcpt_mailer": 1},
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

// What is refused and comes again has not passed.
func TestRefusedIsNotAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, always(tempfail))
		m := f.session()
		m.run(helloA)
		for range 2 {
			m.run(mailA, "R <r@r.example>", "L Message-ID: <1@client-a.example>", "E", "A")
		}
		synctest.Wait()
		if got := f.Traffic()[0]; got.Messages != 2 || got.Again != 0 {
			t.Errorf("%+v", got)
		}
		m.nc.Close()
		f.stop()
	})
}

func TestRecent(t *testing.T) {
	for others, want := range map[int]bool{recentMessages - 2: true, recentMessages - 1: true, recentMessages: false, recentMessages + 1: false} {
		var r recent
		if r.add(0) {
			t.Fatal("an empty set knows 0")
		}
		for i := range others {
			r.add(uint64(i + 1))
		}
		if got := r.add(0); got != want {
			t.Errorf("after %d others: got %v, want %v", others, got, want)
		}
		if len(r.keys) > recentMessages {
			t.Errorf("%d are kept", len(r.keys))
		}
	}
}

// It knows what a list of the last ones would know, also where many keys share a chain.
func TestRecentIsTheLast(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, step := range []uint64{1, recentMessages / 4, recentMessages} {
		var r recent
		var last []uint64
		for range 4 * recentMessages {
			key := random.Uint64N(2*recentMessages) * step
			want := slices.Contains(last, key)
			if got := r.add(key); got != want {
				t.Fatalf("steps of %d: %d is there: %v, want %v", step, key, got, want)
			}
			if !want {
				last = append(last, key)[max(0, len(last)+1-recentMessages):]
			}
		}
	}
}

func BenchmarkRecent(b *testing.B) {
	var r recent
	for n := range b.N {
		r.add(uint64(n+1) * 0x9e3779b97f4a7c15)
	}
}
