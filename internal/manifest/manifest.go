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
// It does not look at the host beyond the files and variables that a bottle
// names: whether an image can boot or a limit can be held is preflight's to say.
package manifest

import (
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
)

// Bottle is a bottle file, checked in itself. What it refers to on the host,
// variables, tokens and CA files, is read by Resolve.
type Bottle struct {
	Name   string // the file's, without ".md"
	Path   string
	Policy policy.Policy // all but Env, the tokens and the CAs; epoch 1; limits without defaults
	Env    []EnvEntry    // in the order of the file
	// Routes go with Policy.Egress.Routes, index by index.
	Routes []RouteRefs

	lines map[string]int // of each key, for what Resolve finds
}

// EnvEntry is one variable of a bottle: a literal, or a variable of the host.
type EnvEntry struct {
	Name    string
	Literal string
	HostVar string // if not empty, the value is that of this host variable, and is a secret
}

// RouteRefs is what a route refers to on the host. Empty fields refer to nothing.
type RouteRefs struct {
	Token  secret.Ref
	CAFile string // absolute
}

// Agent is an agent file, checked in itself. It may come from anybody who can
// write to the repository, and grants nothing.
type Agent struct {
	Name        string // the file's, without ".md"
	Path        string
	Description string
	Bottle      string // the bottle it asks for; may be empty
	Provider    string // "command"
	// Command is the argument list, of which a string in the file becomes
	// /bin/sh -c; nil if the file has none.
	Command []string
	Prompt  string // the Markdown behind the front matter, without surrounding space
}
