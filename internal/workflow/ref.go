package workflow

import (
	"fmt"
	"strings"
)

// What the names of branches and tags begin with.
const (
	branchPrefix = "refs/heads/"
	tagPrefix    = "refs/tags/"
)

// ref is what is pushed to: a branch, a tag, or something else.
type ref struct {
	own, others string // keys of the filters for its kind, and for the other; empty: it is neither's
	name        string // without what its kind begins with
	below       bool   // it stands for all names that begin with name
}

func readRef(full string) ref {
	full, below := strings.CutSuffix(full, "*")
	if name, is := strings.CutPrefix(full, branchPrefix); is {
		return ref{"branches", "tags", name, below}
	}
	if name, is := strings.CutPrefix(full, tagPrefix); is {
		return ref{"tags", "branches", name, below}
	}
	return ref{name: full, below: below}
}

// ignored is what the key of a filter ends with that takes refs out.
const ignored = "-ignore"

// passes tells whether the filter of a push event may let r through: `branches` or
// `branches-ignore` for a branch, `tags` or `tags-ignore` for a tag, and neither kind
// where only the other is named (GitHub's workflow syntax, which Gitea's and Forgejo's
// is). A ref of neither kind counts as let through.
func (r ref) passes(filter any) bool {
	f, _ := filter.(map[string]any)
	only, not := f[r.own], f[r.own+ignored] // nothing is no filter
	switch {
	case r.own == "":
		return true
	case only != nil:
		return r.among(only) != no
	case not != nil:
		return r.among(not) != yes
	}
	return f[r.others] == nil && f[r.others+ignored] == nil
}

// verdict tells whether a ref is one that patterns mean.
type verdict int

const (
	no    verdict = iota
	maybe         // of what r stands for some are, or the pattern isn't understood
	yes
)

// among goes through patterns in order; one that begins with ! takes back.
func (r ref) among(patterns any) verdict {
	list, isList := patterns.([]any)
	if !isList {
		list = []any{patterns}
	}
	so := no
	for _, p := range list {
		pattern, not := strings.CutPrefix(fmt.Sprint(p), "!")
		if not {
			so = min(so, yes-r.matches(pattern))
		} else {
			so = max(so, r.matches(pattern))
		}
	}
	return so
}

// maxPattern bounds what is compared.
const maxPattern = 1 << 10

// matches knows * (within a component), ** and ?, of plain characters.
func (r ref) matches(pattern string) verdict {
	foreign := func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`[]+\`, c) }
	switch {
	case len(pattern) > maxPattern || strings.ContainsFunc(pattern, foreign) || strings.HasPrefix(pattern, "?") || strings.Contains(pattern, "*?") || strings.Contains(pattern, "??"):
		return maybe
	case r.below:
		return covers(pattern, r.name)
	case match(pattern, r.name):
		return yes
	case match(strings.ReplaceAll(pattern, "**/", "**"), r.name): // some take **/ for any depth, none included
		return maybe
	}
	return no
}

// covers compares a pattern with all that begins with prefix.
func covers(pattern, prefix string) verdict {
	begin, rest := pattern, ""
	if i := strings.IndexAny(pattern, "*?"); i >= 0 {
		begin, rest = pattern[:i], pattern[i:]
	}
	if strings.HasPrefix(rest, "?") {
		begin = begin[:len(begin)-1] // may not be there
	}
	switch {
	case rest == "**" && strings.HasPrefix(prefix, begin):
		return yes
	case strings.HasPrefix(begin, prefix), rest != "" && strings.HasPrefix(prefix, begin):
		return maybe
	}
	return no
}

// piece is what a pattern has at one place.
type piece struct {
	char               byte // 0: any
	slash              bool // any, a slash included
	optional, repeated bool
}

func (p piece) takes(c byte) bool { return p.char == c || p.char == 0 && (p.slash || c != '/') }

func pieces(pattern string) (all []piece) {
	for i := 0; i < len(pattern); i++ {
		switch {
		case strings.HasPrefix(pattern[i:], "**"):
			all = append(all, piece{slash: true, optional: true, repeated: true})
			i++
		case pattern[i] == '*':
			all = append(all, piece{optional: true, repeated: true})
		case pattern[i] == '?':
			all[len(all)-1].optional = true
		default:
			all = append(all, piece{char: pattern[i]})
		}
	}
	return all
}

// match goes all ways through pattern at once, so that its time grows with the two
// lengths alone.
func match(pattern, name string) bool {
	all := pieces(pattern)
	at := make([]bool, len(all)+1) // before which pieces what was read of name may end
	at[0] = true
	pass := func() {
		for i, p := range all {
			at[i+1] = at[i+1] || at[i] && p.optional
		}
	}
	pass()
	for i := range len(name) {
		next := make([]bool, len(all)+1)
		for k, p := range all {
			if !at[k] || !p.takes(name[i]) {
				continue
			}
			if p.repeated {
				next[k] = true
			} else {
				next[k+1] = true
			}
		}
		at = next
		pass()
	}
	return at[len(all)]
}
