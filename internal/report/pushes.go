package report

import (
	"iter"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/objectid"
)

// PushesOf gives what decision lines tell of pushes, each ref once, as it was left.
// listed tells whether the bottle lists a ref of a repository: what a sidecar that was
// taken over may have written of others is left out.
func PushesOf(lines iter.Seq[decision.Line], listed func(repository, ref string) bool) []Push {
	repositories := map[uint64]string{}
	var pushes []Push
	for line := range lines {
		if line.Door == decision.GitGate && line.Kind == decision.KindVerdict && line.Verdict == decision.Allow {
			repositories[line.ID] = line.Route
		}
		for _, m := range line.Moved {
			p := Push{Repository: repositories[line.ID], Ref: m.Ref, Commit: m.Commit}
			if line.Kind != decision.KindEnd || !objectid.Is(p.Commit) || !listed(p.Repository, p.Ref) {
				continue
			}
			pushes = slices.DeleteFunc(pushes, func(o Push) bool { return o.Repository == p.Repository && o.Ref == p.Ref })
			pushes = append(pushes, p)
		}
	}
	return pushes
}

// Branch is the name of the branch that was pushed; empty: the ref is none.
func (p Push) Branch() string {
	branch, is := strings.CutPrefix(p.Ref, "refs/heads/")
	if !is {
		return ""
	}
	return branch
}

// shortCommit is as many digits as people write.
func (p Push) shortCommit() string { return p.Commit[:min(len(p.Commit), 12)] }
