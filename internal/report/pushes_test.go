package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/doors/decision"
)

func TestPushesAreThoseThatTheBottleLists(t *testing.T) {
	id := func(c string) string { return strings.Repeat(c, 40) }
	pushed := func(n uint64, repository string, moved ...decision.Moved) []decision.Line {
		return []decision.Line{
			{ID: n, Kind: decision.KindVerdict, Door: decision.GitGate, Verdict: decision.Allow, Route: repository},
			{ID: n, Kind: decision.KindEnd, Door: decision.GitGate, Moved: moved},
		}
	}
	lines := slices.Concat(
		pushed(1, "web", decision.Moved{Ref: "refs/heads/bottle/a", Commit: id("1")}),
		pushed(2, "web", decision.Moved{Ref: "refs/heads/main", Commit: id("2")}, decision.Moved{Ref: "refs/heads/bottle/b", Commit: "no id"}),
		pushed(3, "docs", decision.Moved{Ref: "refs/heads/bottle/a", Commit: id("3")}),
		pushed(4, "web", decision.Moved{Ref: "refs/heads/bottle/a", Commit: id("4")}),
		[]decision.Line{{ID: 5, Kind: decision.KindVerdict, Door: decision.GitGate, Verdict: decision.Refuse, Route: "web"}},
		[]decision.Line{{ID: 5, Kind: decision.KindEnd, Moved: []decision.Moved{{Ref: "refs/heads/bottle/a", Commit: id("5")}}}},
	)
	got := PushesOf(slices.Values(lines), func(repository, ref string) bool {
		return repository == "web" && strings.HasPrefix(ref, "refs/heads/bottle/")
	})
	want := []Push{{Repository: "web", Ref: "refs/heads/bottle/a", Commit: id("4")}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	if got[0].Branch() != "bottle/a" || (Push{Ref: "refs/tags/v1"}).Branch() != "" {
		t.Error("the branch is another")
	}
}
