package report

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// Usage is what calls to a model's API took, as the egress door read or estimated it.
type Usage struct {
	Tokens
	Models []ModelUsage `json:"models"` // the most tokens first
}

// ModelUsage is what one model took.
type ModelUsage struct {
	Model string `json:"model"` // as the upstream calls it, or Other
	Tokens
}

// Tokens are calls with the tokens they took, by kind.
type Tokens struct {
	Calls      int64 `json:"calls"`
	Input      int64 `json:"input"`
	Output     int64 `json:"output"`
	CacheWrite int64 `json:"cache_write"`
	CacheRead  int64 `json:"cache_read"`
	Estimated  int64 `json:"estimated_calls"`   // of Calls: their tokens are estimated by the bytes
	Unpriced   int64 `json:"unpriced_calls"`    // of Calls: no price is known, so that Cost lacks them
	Cost       int64 `json:"cost_microdollars"` // by the operator's table of prices
}

// Total is how many tokens there are, of all kinds.
func (t Tokens) Total() int64 {
	return saturated(saturated(t.Input, t.Output), saturated(t.CacheWrite, t.CacheRead))
}

// maxModels is how many models have a row of their own; the rest are Other.
const maxModels = 16

// UsageOf adds up what the end lines of the egress door say; nil where no model was
// called.
func UsageOf(lines iter.Seq[decision.Line]) *Usage {
	models := map[string]*Tokens{}
	all := Tokens{}
	for line := range lines {
		if line.Kind != decision.KindEnd || line.Door != decision.Egress || line.Usage == nil {
			continue
		}
		name := modelWord(line.Usage.Model)
		if models[name] == nil && len(models) >= maxModels {
			name = Other
		}
		if models[name] == nil {
			models[name] = &Tokens{}
		}
		models[name].add(*line.Usage)
		all.add(*line.Usage)
	}
	if all.Calls == 0 {
		return nil
	}
	u := &Usage{Tokens: all}
	for name, t := range models {
		u.Models = append(u.Models, ModelUsage{name, *t})
	}
	slices.SortFunc(u.Models, func(a, b ModelUsage) int {
		return cmp.Or(cmp.Compare(b.Total(), a.Total()), cmp.Compare(a.Model, b.Model))
	})
	return u
}

func (t *Tokens) add(u decision.Usage) {
	t.Calls++
	t.Input = saturated(t.Input, u.Input)
	t.Output = saturated(t.Output, u.Output)
	t.CacheWrite = saturated(t.CacheWrite, u.CacheWrite)
	t.CacheRead = saturated(t.CacheRead, u.CacheRead)
	if u.Estimated {
		t.Estimated++
	}
	if u.Cost == nil {
		t.Unpriced++
		return
	}
	t.Cost = saturated(t.Cost, *u.Cost)
}

// saturated adds what a line says, which is no less than nothing even where a sidecar
// that was taken over wrote it.
func saturated(a, b int64) int64 {
	if b = max(b, 0); a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// modelBytes bounds a model's name: those of providers have some 40.
const modelBytes = 64

// modelWord gives s if it is written like the name of a model
// ("claude-opus-4-5-20251101", "models/gemini-2.5-pro"), else Other.
func modelWord(s string) string {
	foreign := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._:/", r))
	}
	if s == "" || len(s) > modelBytes || strings.ContainsFunc(s, foreign) {
		return Other
	}
	return s
}
