package meter

import (
	"math"
	"testing"
)

func TestCostsAreRoundedUpKindByKind(t *testing.T) {
	p := Price{Input: 3_000_000, Output: 15_000_000, CacheWrite: 3_750_000, CacheRead: 300_000}
	for _, c := range []struct {
		usage Usage
		cost  int64
	}{
		{Usage{}, 0},
		{Usage{Input: 1_000_000}, 3_000_000},
		{Usage{Input: 1}, 3},
		{Usage{CacheRead: 1}, 1}, // 0.3
		{Usage{CacheWrite: 1, CacheRead: 1}, 5},
		{Usage{Input: 10, Output: 20, CacheWrite: 4, CacheRead: 10}, 30 + 300 + 15 + 3},
		{Usage{Input: -5}, 0},
		{Usage{Input: math.MaxInt64}, math.MaxInt64},
		{Usage{Input: math.MaxInt64 / 4, Output: math.MaxInt64 / 8}, math.MaxInt64},
	} {
		if got := p.Cost(c.usage); got != c.cost {
			t.Errorf("%+v costs %d, want %d", c.usage, got, c.cost)
		}
	}
	if got := (Price{Input: math.MaxInt64}).Cost(Usage{Input: math.MaxInt64}); got != math.MaxInt64 {
		t.Errorf("the largest product is %d", got)
	}
}

func TestTheFirstPriceThatFitsCounts(t *testing.T) {
	table := Prices{{Model: "a-mini", Input: 1}, {Model: "a*", Input: 2}, {Model: "*", Input: 3}}
	for model, want := range map[string]int64{"a-mini": 1, "a-mini-2": 2, "a": 2, "b": 3, "": 3} {
		if p, found := table.Of(model); !found || p.Input != want {
			t.Errorf("%q: %+v", model, p)
		}
	}
	if _, found := table[:2].Of("b"); found {
		t.Error("b has a price")
	}
	for _, c := range []struct {
		by, of string
		want   bool
	}{{"a*", "ab", true}, {"a*", "ab*", true}, {"a", "a", true}, {"a", "a*", false}, {"ab*", "a*", false}, {"*", "a", true}} {
		if got := (Price{Model: c.by}).Covers(Price{Model: c.of}); got != c.want {
			t.Errorf("%s covers %s: %v", c.by, c.of, got)
		}
	}
}
