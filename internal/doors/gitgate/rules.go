package gitgate

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

// PushRules say what may be pushed.
type PushRules struct {
	// Refs are the full names that may be made or moved forward. One that ends in
	// "/*" stands for all below it.
	Refs []string
	// MaxBytes bounds a pack; 0: DefaultMaxBytes.
	MaxBytes int64
	// HostWorkflows are the paths of workflow files that may run on the host, outside
	// of any bottle, what is pushed.
	HostWorkflows []string
}

// DefaultMaxBytes is what a pack may have: more than any change to text, and what a
// scan can go through in its time.
const DefaultMaxBytes = 1 << 30

// maxRunBytes bounds the packs of all pushes of a run together: accepted ones stay on the
// host's disk until it ends.
const maxRunBytes = 4 << 30

func (p *PushRules) maxBytes() int64 {
	if p.MaxBytes > 0 {
		return p.MaxBytes
	}
	return DefaultMaxBytes
}

func (p *PushRules) lists(ref string) bool {
	return mutation.On(mutation.GitAnyRef) || policy.RefListed(p.Refs, ref)
}

// judgeRefs judges the commands alone, with refs as the mirror has them. nil: they
// may go on.
func (p *PushRules) judgeRefs(commands []command, refs map[string]string) *refusal {
	for _, c := range commands {
		current := refs[c.Ref]
		switch {
		case !p.lists(c.Ref):
			return &refusal{RuleRef, http.StatusOK, fmt.Sprintf("the bottle does not list %q; it lists %s", c.Ref, strings.Join(p.Refs, ", "))}
		case c.deletes():
			return &refusal{RuleDelete, http.StatusOK, fmt.Sprintf("%q would be deleted, which no bottle may", c.Ref)}
		case c.creates() && current != "", !c.creates() && current != c.Old:
			return &refusal{RuleStale, http.StatusOK, fmt.Sprintf("%q has changed: fetch, then push again", c.Ref)}
		}
	}
	return nil
}
