package tests

import (
	"testing"

	"github.com/emersion/go-milter"

	"o2n-milter/tests/mta"
)

// wire is a connection to the filter of which every fault ends the test.
type wire struct {
	t testing.TB
	*mta.Filter
}

func dialWire(t testing.TB, network, addr string) *wire {
	t.Helper()
	f, err := mta.DialFilter(network, addr)
	if err != nil {
		t.Fatalf("milter: %v", err)
	}
	t.Cleanup(f.Close)
	return &wire{t, f}
}

func (w *wire) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("milter: %v", err)
	}
}

func (w *wire) connect(name, client string, port uint16) {
	w.t.Helper()
	w.check(w.Connect(name, client, port))
}

func (w *wire) send(code byte, data []byte) {
	w.t.Helper()
	w.check(w.Send(code, data))
}

func (w *wire) macros(stage byte, kv ...string) {
	w.t.Helper()
	w.check(w.Macros(stage, kv...))
}

func (w *wire) event(code byte, data []byte, hidden, silent milter.OptProtocol) mta.Reply {
	w.t.Helper()
	r, err := w.Event(code, data, hidden, silent)
	w.check(err)
	return r
}

func (w *wire) answer() mta.Outcome {
	w.t.Helper()
	out, err := w.Answer()
	w.check(err)
	return out
}
