// Package manifest reads bottle and agent files, Markdown with YAML front
// matter, and makes a policy of them.
//
// It promises to take nothing silently: an unknown or repeated key, a value of
// another type, a key that this build can't enforce and anything that the policy
// itself finds wrong are errors, all of a file at once, each with file, line and
// key. Sizes and nesting are bounded, so that an agent file may come from
// anybody; YAML's anchors, aliases, tags and merge keys are refused. Values of
// references to secrets are never quoted.
//
// Bottles build on each other, by `extends` in a file and by the order in which
// they are named at launch; both follow the rules of Merge.
//
// It does not look at the host beyond the files and variables that a bottle
// names: whether an image can boot or a limit can be held is preflight's to say.
package manifest

import (
	"strings"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

// Bottle is a bottle file, checked in itself, or several that were merged. What
// it refers to on the host, variables, tokens and CA files, is read by Resolve.
type Bottle struct {
	Name    string   // the file's, without ".md"; of several that were named at launch, joined by "+"
	Path    string   // of the file that came last
	Extends string   // the bottle it builds on; empty once that is merged
	Lineage []string // names of the files it was made of, the root first
	// For has one entry for each bottle that was named at launch and says which
	// jobs it serves; none means that it serves no job of a runner.
	For       []For
	Policy    policy.Policy // all but Env, the tokens and the CAs; epoch 1; limits without defaults
	Env       []EnvEntry    // in the order of the files
	Presets   []string      // of egress, in the order of the file; their routes are not in Policy yet
	Provider  *Provider     // nil: none is named
	Git       Git
	Supervise bool
	// Routes go with Policy.Egress.Routes, index by index.
	Routes []RouteRefs

	places map[string]place // of each key, for merging and for what Resolve finds
}

// EnvEntry is one variable of a bottle: a literal, a variable of the host, or a
// secret that is asked for. The last two are secrets.
type EnvEntry struct {
	Name    string
	Literal string
	HostVar string // if not empty, the value is that of this host variable
	Ask     bool   // the value is asked for at launch, with Prompt
	Prompt  string // may be empty
}

// RouteRefs is what a route refers to on the host. Empty fields refer to nothing.
type RouteRefs struct {
	Token  secret.Ref
	CAFile string // absolute
}

// Agent is an agent file, checked in itself. It may come from anybody who can
// write to the repository, and grants nothing.
type Agent struct {
	Name     string  // the file's, without ".md"
	Path     string  // for messages; of an agent from a repository, with the commit
	Bottle   string  // the bottle it asks for; may be empty
	Provider string  // the only template it wants to run with; may be empty
	Model    string  // may be empty: the CLI's own choice
	User     GitUser // what it sets of the bottle's
	// Command is the argument list, of which a string in the file becomes
	// /bin/sh -c; nil if the file has none.
	Command []string
	Prompt  string // the Markdown behind the front matter, without surrounding space
}

// declares tells whether the file, or one it was made of, has the key.
func (b Bottle) declares(key string) bool {
	_, ok := b.places[key]
	return ok
}

// chain gives the lineage as people read it: "base -> dev -> claude-dev".
func (b Bottle) chain() string { return strings.Join(b.Lineage, " -> ") }
