package milter

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"o2n-milter/rules"
)

// Each message has its whole time, whatever the alarm of an earlier one was set for, and
// one that was given up ends nothing but itself.
func TestEachMessageHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var takes atomic.Int64
		f := serve(t, judgeFunc(func(ctx context.Context, _ *rules.Mail) rules.Verdict {
			if end, ok := ctx.Deadline(); !ok || time.Until(end) != defaultDecideTimeout {
				t.Errorf("deadline %v, %v", end, ok)
			}
			time.Sleep(time.Duration(takes.Load()))
			return pass
		}))
		m := f.session()
		m.run(helloA)
		for _, tt := range []struct {
			waits, judged, answered time.Duration
			want                    string
		}{
			{0, 0, 0, "c"},
			{3 * time.Second, progressEvery - 1, progressEvery - 1, "c"},
			{3 * time.Second, progressEvery + 1, progressEvery + 1, "p c"},
			{0, defaultDecideTimeout + cutGrace - 1, defaultDecideTimeout + cutGrace - 1, "p c"},
			{0, time.Minute, defaultDecideTimeout + cutGrace, "p y451 4.3.0 Internal error"},
			{0, progressEvery + 1, progressEvery + 1, "p c"},
			{time.Hour, time.Minute, defaultDecideTimeout + cutGrace, "p y451 4.3.0 Internal error"},
			{0, 0, 0, "c"},
		} {
			time.Sleep(tt.waits)
			takes.Store(int64(tt.judged))
			m.run(mailA, "R <r@r.example>")
			begun := time.Now()
			if got := m.run("E")[0]; !strings.HasPrefix(got, tt.want) || time.Since(begun) != tt.answered {
				t.Errorf("judged in %v: %q after %v, want %q after %v", tt.judged, got, time.Since(begun), tt.want, tt.answered)
			}
		}
		if late := f.late.Load(); late != 1 { // the first is back after an hour
			t.Errorf("%d decisions are late, want 1", late)
		}
		time.Sleep(time.Minute)
		if held := f.holds(); held != 0 || f.late.Load() != 0 {
			t.Errorf("%d bytes held, and %d late", held, f.late.Load())
		}
		m.nc.Close()
		f.stop()
	})
}

// A shorter time than the alarm of the message before was set for.
func TestAlarmIsSetEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		a := newAside()
		a.end(a.begin(now, time.Hour))
		asked := a.begin(now, time.Second)
		if at := <-a.alarm.C; at.Sub(now) != time.Second {
			t.Errorf("it rang after %v", at.Sub(now))
		}
		if late := a.ring(time.Now(), nil); late != nil || !errors.Is(asked.Err(), context.DeadlineExceeded) {
			t.Errorf("late: %v, %v", late, asked.Err())
		}
		if a.end(asked) {
			t.Error("an answer within the grace is late")
		}
		a.cut(now)
		if asked = a.begin(now, time.Hour); !errors.Is(asked.Err(), context.Canceled) {
			t.Errorf("asked after the cut: %v", asked.Err())
		}
		if <-a.alarm.C; a.ring(time.Now(), nil) != asked || !a.end(asked) {
			t.Error("it is waited for")
		}
	})
}

// A panic of our own, where no message is at fault, ends its session and no other.
func TestPanicAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, always(pass))
		m := f.session()
		m.run(helloA, mailA, "R <r@r.example>")
		synctest.Wait()
		f.sessions.all()[0].session.counts = nil
		other := f.session()
		other.run(helloA, mailA, "R <r@r.example>")
		if got := m.run("E")[0]; got != hungUp {
			t.Errorf("got %q, want the end of the session", got)
		}
		if got := other.run("E")[0]; got != "c" {
			t.Errorf("another session got %q", got)
		}
		other.nc.Close()
		f.stop()
		if logged := f.logs.String(); !strings.Contains(logged, "milter: panic") || !strings.Contains(logged, "stage=session") {
			t.Errorf("logged %q", logged)
		}
	})
}

// A term is a context as others are, to who makes one of it, too.
func TestTerm(t *testing.T) {
	for _, why := range []error{context.Canceled, context.DeadlineExceeded} {
		synctest.Test(t, func(t *testing.T) {
			a := newAside()
			asked := a.begin(time.Now(), time.Minute)
			made, cancel := context.WithTimeout(asked, time.Hour)
			ended, end := context.WithCancel(asked)
			end()
			var called []string
			stop := context.AfterFunc(asked, func() { called = append(called, "stopped") })
			context.AfterFunc(asked, func() { called = append(called, "left") })
			if is := stop(); !is || stop() {
				t.Error("stopped not once")
			}
			if until, _ := made.Deadline(); until.Sub(asked.begun) != time.Minute || made.Err() != nil || asked.Err() != nil {
				t.Errorf("until %v: %v, %v", until.Sub(asked.begun), made.Err(), asked.Err())
			}
			asked.finish(why)
			asked.finish(errors.New("another"))
			<-asked.Done()
			<-made.Done()
			synctest.Wait()
			if asked.Err() != why || made.Err() != why || ended.Err() != context.Canceled {
				t.Errorf("ended with %v, made of it %v, want %v; ended before %v", asked.Err(), made.Err(), why, ended.Err())
			}
			context.AfterFunc(asked, func() { called = append(called, "afterwards") })
			synctest.Wait()
			if diff := cmp.Diff([]string{"left", "afterwards"}, called); diff != "" {
				t.Error(diff)
			}
			cancel()
		})
	}
}
