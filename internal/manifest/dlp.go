package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/bot-bottle/action/internal/policy"
)

var dlpLater = map[string]string{
	"inbound_detectors": "the scanning of answers",
}

// dlp reads what is looked for in what leaves by a route.
func (r *reader) dlp(n ast.Node, at string) *policy.DLP {
	d := &policy.DLP{}
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"outbound_detectors": func(n ast.Node, at string) { d.Off = r.detectorsOff(n, at) },
			"outbound_on_match": func(n ast.Node, at string) {
				d.OnMatch, _ = r.text(n, at)
				if all := []string{policy.OnMatchSupervise, policy.OnMatchRedact, policy.OnMatchBlock}; !slices.Contains(all, d.OnMatch) {
					r.at(at, "write one of "+strings.Join(all, ", "), fmt.Errorf("%.40q is none", d.OnMatch))
				}
			},
		},
		later: dlpLater,
	})
	return d
}

// detectorsOff reads the detectors that are used, or false, and gives the others.
func (r *reader) detectorsOff(n ast.Node, at string) (off []string) {
	if _, isBool := n.(*ast.BoolNode); isBool {
		if on, _ := r.boolean(n, at); on {
			r.at(at, "remove the key to use every detector", errors.New("true is not a list of detectors"))
		}
		return slices.Clone(policy.Detectors)
	}
	used := r.texts(n, at, strings.ToLower)
	if _, isList := n.(*ast.SequenceNode); isList && len(used) == 0 {
		r.at(at, "write false for none", errors.New("it is empty"))
	}
	for _, name := range used {
		if name == "entropy" {
			r.at(at, "remove it", errors.New("this build can't enforce entropy yet"))
		} else if !slices.Contains(policy.Detectors, name) {
			r.at(at, "write some of "+strings.Join(policy.Detectors, ", ")+", or false for none", fmt.Errorf("%.40q is no detector", name))
		}
	}
	for _, name := range policy.Detectors {
		if !slices.Contains(used, name) {
			off = append(off, name)
		}
	}
	return off
}
