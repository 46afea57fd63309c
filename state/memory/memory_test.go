package memory_test

import (
	"testing"

	"o2n-milter/state"
	"o2n-milter/state/memory"
	"o2n-milter/state/statetest"
)

func TestStore(t *testing.T) {
	statetest.Run(t, func(*testing.T) state.Store { return memory.New() })
}

func BenchmarkTake(b *testing.B) {
	statetest.Bench(b, func(*testing.B) state.Store { return memory.New() })
}

func BenchmarkSubjects(b *testing.B) {
	statetest.BenchSubjects(b, func(*testing.B) state.Store { return memory.New() })
}

func BenchmarkLetters(b *testing.B) {
	statetest.BenchLetters(b, func(*testing.B) state.Store { return memory.New() })
}
