package doors

import (
	"context"
	"errors"

	"github.com/bot-bottle/action/internal/term"
)

// wireWorkflows asks the git-gate's sidecar to look at the workflows of a remote.
type wireWorkflows struct {
	Remote string `json:"remote"`
	Commit string `json:"commit,omitempty"`
}

// CheckWorkflows has the git-gate's sidecar ask the upstream of a remote that may be
// pushed to, and is an error of the preflight where it can't be asked, or where a
// workflow of its HEAD, or of commit if that isn't empty, would run on the host what is
// pushed, and the bottle doesn't accept that. The process that works on what strangers
// wrote is the one that was confined for it.
func (s *Sidecar) CheckWorkflows(ctx context.Context, remote, commit string) error {
	_, err := s.ask(ctx, order{Workflows: &wireWorkflows{remote, commit}}, term.StagePreflight)
	return err
}

// CheckWorkflows asks the git-gate's sidecar, as Sidecar.CheckWorkflows.
func (g *Group) CheckWorkflows(ctx context.Context, remote, commit string) error {
	for _, s := range g.all {
		if s.git {
			return s.CheckWorkflows(ctx, remote, commit)
		}
	}
	return errors.New("looking for workflows: no sidecar serves git")
}
