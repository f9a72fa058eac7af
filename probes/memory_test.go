package probes

import (
	"runtime"
	"testing"
)

// maxHeap is what the compiled built-in database may take: the matching
// engine's goal for a file of 12,000 lines, of which we have less than a third.
const maxHeap = 30 << 20

// TestBuiltinFits: the built-in database stays small when it is loaded. What
// its patterns are compiled to at their first use is not in it; that depends on
// the answers, and is bounded by their number.
func TestBuiltinFits(t *testing.T) {
	sources, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	before := heapInUse()
	db, err := Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	heap := heapInUse() - before
	t.Logf("%.1f MiB", float64(heap)/(1<<20))
	if heap > maxHeap {
		t.Errorf("the built-in database takes %d bytes of heap, want at most %d", heap, maxHeap)
	}
	runtime.KeepAlive(db)
	runtime.KeepAlive(sources)
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkLoadBuiltin reads and compiles the built-in database, as each start
// of the program does.
func BenchmarkLoadBuiltin(b *testing.B) {
	sources, err := Builtin()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Load(sources...); err != nil {
			b.Fatal(err)
		}
	}
}
