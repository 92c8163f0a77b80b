package main

import (
	"os"
	"path/filepath"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/bot-bottle/action/runner/ledger"
)

// requestOf gives what the flags ask for; argv is the command behind "--".
func requestOf(f runFlags, timeoutGiven bool, argv []string) (runner.Request, error) {
	req := runner.Request{
		Name: f.name, Bottles: f.bottles, Agent: f.agent, Model: f.model, Argv: argv, Root: f.root, Backend: f.backend,
		Timeout: f.timeout, Lookup: os.LookupEnv, Ask: asker(os.Getenv), Job: jobOf(os.Getenv),
	}
	if timeoutGiven && f.timeout <= 0 {
		return req, term.Errorf(term.StageUsage, "--timeout", "reading the time limit: %v is not more than 0", f.timeout).
			WithHint("give a duration such as 90s, 10m or 2h")
	}
	var err error
	if req.Prompt, err = promptOf(f, os.Stdin); err != nil {
		return req, err
	}
	if req.BottleDirs, err = bottleFolders(f.bottlesDir, os.Getenv); err != nil {
		return req, err
	}
	req.AgentDirs = agentFolders(f.agentsDir, os.Getenv)
	if req.ReportDir, err = absolute(f.reportDir); err != nil {
		return req, err
	}
	return req, addWorkspace(&req, f)
}

// addWorkspace adds the checkout and where its own agents are.
func addWorkspace(req *runner.Request, f runFlags) error {
	if f.workspace == "" {
		for flag, given := range map[string]bool{"--uncommitted": f.uncommitted, "--allow": len(f.allow) > 0, "--agents-rev": f.agentsRev != ""} {
			if given {
				return term.Errorf(term.StageUsage, flag, "reading the flags: it needs --workspace").
					WithHint("name the checkout with --workspace DIR, or leave %s out", flag)
			}
		}
		return nil
	}
	dir, err := absolute(f.workspace)
	if err != nil {
		return err
	}
	req.Workspace = &runner.Workspace{Dir: dir, Uncommitted: f.uncommitted, Allow: f.allow}
	if f.agentsRev != "" {
		req.Repository = &runner.RepositoryAgents{Dir: dir, Rev: f.agentsRev}
	}
	return nil
}

func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", term.Errorf(term.StageUsage, path, "finding the folder: %w", err)
	}
	return abs, nil
}

// jobOf gives what the runner says of the job; nil: there is no runner.
func jobOf(getenv func(string) string) *manifest.Job {
	if !ledger.UnderRunner(getenv) {
		return nil
	}
	return &manifest.Job{Server: getenv("GITHUB_SERVER_URL"), Repository: getenv("GITHUB_REPOSITORY"), Event: getenv("GITHUB_EVENT_NAME"), Ref: getenv("GITHUB_REF")}
}

// bottleFolders are where bottles come from: the named folder, or the user's and
// the host's. Under a runner only the host's own configuration counts.
func bottleFolders(dir string, getenv func(string) string) ([]string, error) {
	if dir != "" && ledger.UnderRunner(getenv) {
		return nil, term.Errorf(term.StageUsage, "--bottles-dir", "reading the flags: under a runner a job can't choose its own policy").
			WithHint("put the bottle into %s/bottles, or name the folder there in config.yaml: `bottles_dir: /the/folder`", manifest.HostFolder)
	}
	if dir != "" {
		return []string{dir}, nil
	}
	config, err := manifest.LoadConfig(manifest.HostFolder)
	if err != nil {
		return nil, err
	}
	host := filepath.Join(manifest.HostFolder, string(manifest.Bottles))
	if config.BottlesDir != "" {
		host = config.BottlesDir
	}
	return append(homeFolder(manifest.Bottles, getenv), host), nil
}

func agentFolders(dir string, getenv func(string) string) []string {
	if dir != "" {
		return []string{dir}
	}
	return append(homeFolder(manifest.Agents, getenv), filepath.Join(manifest.HostFolder, string(manifest.Agents)))
}

// homeFolder is the user's own, which a job's is not.
func homeFolder(kind manifest.Kind, getenv func(string) string) []string {
	home := getenv("HOME")
	if !filepath.IsAbs(home) || ledger.UnderRunner(getenv) {
		return nil
	}
	return []string{filepath.Join(home, ".bot-bottle", string(kind))}
}
