package web

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain: a goroutine that outlives its test is a fault. A server that has closed its side
// of a connection goes on for half a second.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}
