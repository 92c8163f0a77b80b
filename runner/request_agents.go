package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/workspace"
)

// repositoryFolder is what a repository may bring; of it only agents count.
const repositoryFolder = ".bot-bottle"

// maxAgentFile bounds an agent file of a repository, as package manifest bounds
// those of the host.
const maxAgentFile = 1 << 20

// loadAgent reads the agent from the host's folders or else from the repository.
func loadAgent(ctx context.Context, req Request) (manifest.Agent, error) {
	file, err := manifest.Find(req.AgentDirs, manifest.Agents, req.Agent)
	if err == nil {
		return manifest.LoadAgent(file)
	}
	if req.Repository == nil || !manifest.IsMissing(err) {
		return manifest.Agent{}, err
	}
	agent, repositoryErr := repositoryAgent(ctx, *req.Repository, req.Agent)
	if errors.Is(repositoryErr, fs.ErrNotExist) {
		return manifest.Agent{}, err
	}
	return agent, repositoryErr
}

// repositoryAgent reads an agent as the commit has it. An error that wraps
// fs.ErrNotExist says that there is none.
func repositoryAgent(ctx context.Context, from RepositoryAgents, name string) (manifest.Agent, error) {
	commit, err := workspace.OpenCommit(ctx, from.Dir, from.Rev)
	if err != nil {
		return manifest.Agent{}, err
	}
	folder, file := path.Join(repositoryFolder, string(manifest.Agents)), name+".md"
	label := fmt.Sprintf("%.12s:%s", commit.ID(), path.Join(folder, file))
	files, err := commit.Files(ctx, folder)
	if err != nil {
		return manifest.Agent{}, inStage(term.StageManifest, err)
	}
	for _, other := range files {
		if other != file && strings.EqualFold(other, file) {
			return manifest.Agent{}, term.Errorf(term.StageManifest, label, "reading agent %q: the repository also has %q, which differs in case alone", name, other).
				WithHint("rename or remove one of the two; names are in lower case")
		}
	}
	content, err := commit.ReadBlob(ctx, path.Join(folder, file), maxAgentFile)
	if err != nil {
		return manifest.Agent{}, inStage(term.StageManifest, err)
	}
	return manifest.ParseAgent(label, content)
}

// repositoryBottles warns of bottles that a checkout brings: they don't count,
// and whoever put them there may believe that they do.
func repositoryBottles(w *Workspace) []string {
	if w == nil {
		return nil
	}
	var warnings []string
	for _, folder := range []string{filepath.Join(repositoryFolder, string(manifest.Bottles)), string(manifest.Bottles)} {
		if len(manifest.List([]string{filepath.Join(w.Dir, folder)})) > 0 {
			warnings = append(warnings, fmt.Sprintf("the bottles in %q of the workspace are ignored: a repository can't choose its own policy", folder))
		}
	}
	return warnings
}

// warnWritable warns where a job could have written the policy it runs under.
func warnWritable(b manifest.Bottle) []string {
	if !filepath.IsAbs(b.Path) { // it is built in
		return nil
	}
	changeable := manifest.Writable(b.Path)
	if changeable == "" {
		return nil
	}
	return []string{fmt.Sprintf("the user of this runner can change %q, and with it bottle %q: any job can give itself another policy; let it be root's", changeable, b.Name)}
}
