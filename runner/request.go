package runner

import (
	"time"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/secret"
)

// Request is what somebody asks for, as flags or inputs gave it. MakePlan
// resolves it, without any effect.
type Request struct {
	Name       string
	Bottles    []string // merged in order; empty: the agent's, else, for argv without an agent, the one that reaches nothing
	BottleDirs []string // the host's folders; the first that has a bottle wins
	Agent      string
	AgentDirs  []string          // likewise
	Repository *RepositoryAgents // agents of the workspace, found after AgentDirs; nil: none
	Prompt     string            // the task in words, for an agent with a model
	Model      string            // overrides the agent file's
	Argv       []string          // a command, instead of an agent's
	Root       bool
	Backend    string
	Workspace  *Workspace
	Timeout    time.Duration // 0: the bottle's
	ReportDir  string
	Job        *manifest.Job // what `for` of the bottle is checked against; nil: not under a runner
	// Lookup is the host's environment, for ${HOST_VAR} and env: references.
	Lookup func(name string) (string, bool)
	// Ask asks a person for a secret; nil: no terminal, so that `?prompt` is an error.
	Ask func(name, prompt string) (secret.Value, error)
}

// RepositoryAgents are the agents that a repository ships in .bot-bottle/agents,
// as a commit has them, never as the working tree does.
type RepositoryAgents struct {
	Dir string // the checkout
	Rev string // the commit of the base branch
}
