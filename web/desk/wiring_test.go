package desk

import "testing"

// A list in JSON is never null.
func TestWiredWithoutTraffic(t *testing.T) {
	d := &Desk{}
	if w := d.Wired(); w.Sockets == nil || len(w.Sockets) != 0 {
		t.Errorf("%+v", w)
	}
	d.Wiring = func() Wiring { return Wiring{Sockets: []SocketTraffic{{On: "a"}}} }
	if w := d.Wired(); len(w.Sockets) != 1 {
		t.Errorf("%+v", w)
	}
}
