package agent

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain: a goroutine that outlives its test is a fault.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
