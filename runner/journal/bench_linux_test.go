package journal

import (
	"testing"

	"github.com/bot-bottle/action/runner/ledger"
)

// What the ledger adds to a job: opening it, and each effect with its undoing,
// which are three transactions that wait for the disk.

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir() + "/state"
	for b.Loop() {
		l, _, err := ledger.Open(b.Context(), dir, ledger.Options{})
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
	}
}

func BenchmarkEffectAndSettle(b *testing.B) {
	l, _, err := ledger.Open(b.Context(), b.TempDir()+"/state", ledger.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	_, lock, err := l.Begin(b.Context(), ledger.NewRun{})
	if err != nil {
		b.Fatal(err)
	}
	var r recorder
	j := New(l, lock, r.registry("toy"))
	for b.Loop() {
		if err := j.Effect(b.Context(), "toy", struct{}{}, Local, done); err != nil {
			b.Fatal(err)
		}
		if left := j.Settle(b.Context()); len(left) > 0 {
			b.Fatal(left)
		}
	}
}
