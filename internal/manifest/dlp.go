package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/bot-bottle/action/internal/policy"
)

// dlp reads what is looked for in what passes by a route.
func (r *reader) dlp(n ast.Node, at string) *policy.DLP {
	d := &policy.DLP{}
	r.mapping(n, at, schema{
		fields: map[string]func(ast.Node, string){
			"outbound_detectors": func(n ast.Node, at string) {
				used := r.detectors(n, at, outboundDetectors)
				d.Entropy = slices.Contains(used, policy.DetectorEntropy)
				d.Off = append(d.Off, without(policy.Detectors, used)...)
			},
			"inbound_detectors": func(n ast.Node, at string) {
				d.Off = append(d.Off, without(inboundDetectors, r.detectors(n, at, inboundDetectors))...)
			},
			"outbound_on_match": func(n ast.Node, at string) {
				d.OnMatch, _ = r.text(n, at)
				if all := []string{policy.OnMatchSupervise, policy.OnMatchRedact, policy.OnMatchBlock}; !slices.Contains(all, d.OnMatch) {
					r.at(at, "write one of "+strings.Join(all, ", "), fmt.Errorf("%.40q is none", d.OnMatch))
				}
			},
		},
	})
	slices.Sort(d.Off)
	return d
}

var (
	outboundDetectors = append(slices.Clone(policy.Detectors), policy.DetectorEntropy)
	inboundDetectors  = []string{policy.DetectorInjection}
)

// detectors reads those of all that are used, or false for none.
func (r *reader) detectors(n ast.Node, at string, all []string) []string {
	if _, isBool := n.(*ast.BoolNode); isBool {
		if on, _ := r.boolean(n, at); on {
			r.at(at, "remove the key for the usual ones", errors.New("true is not a list of detectors"))
		}
		return nil
	}
	used := r.texts(n, at, strings.ToLower)
	if _, isList := n.(*ast.SequenceNode); isList && len(used) == 0 {
		r.at(at, "write false for none", errors.New("it is empty"))
	}
	for _, name := range used {
		if !slices.Contains(all, name) {
			r.at(at, "write some of "+strings.Join(all, ", ")+", or false for none", fmt.Errorf("%.40q is no detector", name))
		}
	}
	return used
}

// without gives those of all that are not used.
func without(all, used []string) (off []string) {
	for _, name := range all {
		if !slices.Contains(used, name) {
			off = append(off, name)
		}
	}
	return off
}
