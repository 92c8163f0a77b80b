package main

import (
	"os"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
)

// fromManifests reads the agent and the bottle that the flags name. A command on
// the command line takes the place of an agent's own.
func fromManifests(f runFlags, argv []string) (runner.Plan, error) {
	plan := runner.Plan{Bottle: f.bottle, Agent: f.agent}
	if f.agent != "" {
		agent, err := loadAgent(f)
		if err != nil {
			return plan, err
		}
		plan.Task.Argv = agent.Command
		if plan.Bottle == "" {
			plan.Bottle = agent.Bottle
		}
	}
	if len(argv) > 0 {
		plan.Task.Argv = argv
	}
	plan.Task.Name = "agent"
	if len(plan.Task.Argv) == 0 {
		return plan, term.Errorf(term.StageUsage, "", "reading the arguments: there is nothing to run").
			WithHint("name an agent with --agent, or give a command: bot-bottle run -- COMMAND")
	}
	if plan.Bottle == "" {
		plan.Bottle = noBottle
	}
	var err error
	plan.Policy, plan.Secrets, err = resolveBottle(plan.Bottle, f.bottlesDir)
	return plan, err
}

func loadAgent(f runFlags) (manifest.Agent, error) {
	path, err := manifest.Find(folders(f.agentsDir, manifest.Agents), manifest.Agents, f.agent)
	if err != nil {
		return manifest.Agent{}, err
	}
	return manifest.LoadAgent(path)
}

// noBottle is what the bottle is called that is used where none is named: it
// reaches nothing. No file can have this name.
const noBottle = "(none)"

// resolveBottle gives the policy of the named bottle.
func resolveBottle(name, dir string) (policy.Policy, map[string]secret.Value, error) {
	if name == noBottle {
		return policy.Policy{Epoch: 1, Isolation: policy.IsolationGVisor, Limits: policy.Limits{}.WithDefaults()}, nil, nil
	}
	path, err := manifest.Find(folders(dir, manifest.Bottles), manifest.Bottles, name)
	if err != nil {
		return policy.Policy{}, nil, err
	}
	bottle, err := manifest.LoadBottle(path)
	if err != nil {
		return policy.Policy{}, nil, err
	}
	return manifest.Resolve(bottle, os.LookupEnv)
}

func folders(dir string, kind manifest.Kind) []string {
	if dir != "" {
		return []string{dir}
	}
	return ownFolders(string(kind))
}
