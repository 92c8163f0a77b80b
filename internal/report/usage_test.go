package report_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
)

func call(u decision.Usage) decision.Line {
	return decision.Line{Kind: decision.KindEnd, Door: decision.Egress, Usage: &u}
}

func micros(n int64) *int64 { return &n }

var calls = []decision.Line{
	call(decision.Usage{Model: "small-1", Input: 5, Output: 1, Cost: micros(1)}),
	{Kind: decision.KindVerdict, Door: decision.Egress, Usage: &decision.Usage{Input: 1000}},
	{Kind: decision.KindEnd, Door: decision.GitGate, Usage: &decision.Usage{Input: 1000}},
	{Kind: decision.KindEnd, Door: decision.Egress},
	call(decision.Usage{Model: "big-2", Input: 10, Output: 20, CacheWrite: 30, CacheRead: 40, Cost: micros(2_000_000)}),
	call(decision.Usage{Model: "big-2", Input: 1, Estimated: true, Cost: micros(19_999)}),
	call(decision.Usage{Model: "| evil `x`", Output: 3}),
}

func TestUsageIsAddedUpByModel(t *testing.T) {
	u := report.UsageOf(slices.Values(calls))
	want := report.Usage{
		Tokens: report.Tokens{Calls: 4, Input: 16, Output: 24, CacheWrite: 30, CacheRead: 40, Estimated: 1, Unpriced: 1, Cost: 2_020_000},
		Models: []report.ModelUsage{
			{"big-2", report.Tokens{Calls: 2, Input: 11, Output: 20, CacheWrite: 30, CacheRead: 40, Estimated: 1, Cost: 2_019_999}},
			{"small-1", report.Tokens{Calls: 1, Input: 5, Output: 1, Cost: 1}},
			{"other", report.Tokens{Calls: 1, Output: 3, Unpriced: 1}},
		},
	}
	if u == nil || u.Tokens != want.Tokens || !slices.Equal(u.Models, want.Models) {
		t.Errorf("%+v", u)
	}
	if u := report.UsageOf(slices.Values(calls[1:4])); u != nil {
		t.Errorf("without a call there is %+v", u)
	}
}

func TestUsageIsBounded(t *testing.T) {
	var lines []decision.Line
	for i := range 1000 {
		lines = append(lines, call(decision.Usage{Model: fmt.Sprint("m-", i), Input: math.MaxInt64, Output: -5, Cost: micros(math.MaxInt64)}))
	}
	u := report.UsageOf(slices.Values(lines))
	if len(u.Models) > 20 || u.Total() != math.MaxInt64 || u.Output != 0 || u.Cost != math.MaxInt64 || u.Calls != 1000 {
		t.Errorf("%d models, %+v", len(u.Models), u.Tokens)
	}
}

func TestUsageIsShown(t *testing.T) {
	r := example()
	r.Usage = report.UsageOf(slices.Values(calls))
	const line = "4 calls took 110 tokens (16 input, 24 output, 30 written to a cache, 40 read from it), $2.02, and 1 without a price; 1 of the calls estimated"
	if brief := report.Brief(r); strings.Count(brief, "\n**model**: "+line+"\n") != 1 {
		t.Error(brief)
	}
	details := report.Details(r)
	for _, want := range []string{"| `big-2` | 2 | 11 | 20 | 30 | 40 | $2.02 | 1 |\n", "| `small-1` | 1 | 5 | 1 | 0 | 0 | $0.01 | 0 |\n", "| `other` | 1 | 0 | 3 | 0 | 0 | no price | 0 |\n"} {
		if !strings.Contains(details, want) {
			t.Errorf("the details lack %q:\n%s", want, details)
		}
	}
	var table strings.Builder
	if err := report.Table(&table, r, term.NewStyle(false)); err != nil || !strings.Contains(table.String(), "\n  model       "+line) || !strings.Contains(table.String(), "big-2") {
		t.Errorf("%v\n%s", err, &table)
	}
}
