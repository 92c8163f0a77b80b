package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/bot-bottle/action/action"
	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/gitea"
	"github.com/bot-bottle/action/internal/forge/github"
	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/internal/workspace"
	"github.com/bot-bottle/action/runner"
	"github.com/bot-bottle/action/runner/journal"
	"golang.org/x/sys/unix"
)

// actionFD is the descriptor over which the action's shim hands over, and whose
// end is the shim's.
const actionFD = 3

// actionVerb is `bot-bottle action main|post`, which action.yml's shim starts.
func actionVerb(args []string) int {
	c := newConsole()
	code, err := actionPart(context.Background(), c, args)
	if err == nil {
		return int(code)
	}
	c.explain(err)
	return int(runner.CodeOf(err))
}

// actionPart does what has to be there before anything can be told to the runner.
func actionPart(ctx context.Context, c console, args []string) (runner.ExitCode, error) {
	parts := map[string]func(context.Context, console, action.Handover, *world) (runner.ExitCode, error){"main": actionMain, "post": actionPost}
	if len(args) != 1 || parts[args[0]] == nil {
		return 0, term.Errorf(term.StageUsage, "", "reading the arguments: it is action main or action post").
			WithHint("this verb is for action.yml; a person uses bot-bottle run")
	}
	if err := harden(); err != nil {
		return 0, err
	}
	handover, err := readHandover()
	if err != nil {
		return 0, err
	}
	w, err := openWorld(ctx, c.stderr)
	if err != nil {
		return 0, err
	}
	defer w.close()
	return parts[args[0]](ctx, c, handover, w)
}

func readHandover() (action.Handover, error) {
	fd, err := unix.Dup(actionFD) // the original is the lifeline's
	if err != nil {
		return action.Handover{}, term.Errorf(term.StageUsage, "", "opening the shim's pipe: %w", err).
			WithHint("this verb is for action.yml; a person uses bot-bottle run")
	}
	unix.CloseOnExec(fd)
	pipe := os.NewFile(uintptr(fd), "the shim's pipe")
	defer pipe.Close()
	return action.ReadHandover(pipe)
}

// actionMain claims the handle first, and looks at the lifeline after that: a
// post that came before found nothing to wait for.
func actionMain(ctx context.Context, c console, h action.Handover, w *world) (runner.ExitCode, error) {
	lock, err := action.Claim(ctx, w.deps.Ledger, h)
	if err != nil {
		return 0, err
	}
	defer lock.Remove()
	if starterGone() {
		return 0, runner.ErrStarterGone
	}
	ctx, end, err := begin(ctx, c, fmt.Sprintf("fd:%d", actionFD))
	if err != nil {
		return 0, err
	}
	defer end()
	return action.Main(ctx, h, w.action(c.stdout)), nil
}

// starterGone tells whether the shim is dead. It has sent its line, so whatever
// can be read now is the end.
func starterGone() bool {
	return readable(actionFD)
}

// readable tells whether reading fd would not wait; a descriptor that can't be asked
// would fail at once. A signal, as the Go runtime sends to its own threads, ends
// poll(2) before it has looked.
func readable(fd int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if !errors.Is(err, unix.EINTR) {
			return err != nil || n > 0
		}
	}
}

func actionPost(ctx context.Context, c console, h action.Handover, w *world) (runner.ExitCode, error) {
	ctx, end, err := begin(ctx, c, fmt.Sprintf("fd:%d", actionFD))
	if err != nil {
		return 0, err
	}
	defer end()
	return action.Post(ctx, h, action.PostWorld{
		World: w.action(c.stdout), Ledger: w.deps.Ledger,
		Reap: func(ctx context.Context) (journal.Report, error) { return runner.Reap(ctx, w.deps) },
	}), nil
}

func (w *world) action(stdout runner.Output) action.World {
	return action.World{
		Getenv: os.Getenv, Stdout: stdout,
		Forge: connectForge, Poster: connectPoster, HostPoster: connectHostPoster, Preflight: w.survey, Run: w.runRequest, Attack: w.attack, Head: headOf,
	}
}

// connectForge is asked as the job; Gitea and Forgejo, for what a job may not
// ask, as the host.
func connectForge(env action.Environment, in action.Inputs) (forge.Forge, error) {
	if !env.Gitea {
		return github.New(github.Config{API: env.APIURL, Repository: env.Repository, Token: in.Token})
	}
	host, err := hostCredential(env.ServerURL)
	if err != nil {
		return nil, err
	}
	return gitea.New(gitea.Config{Server: env.ServerURL, Repository: env.Repository, Job: in.Token, Host: host})
}

// connectPoster writes as the job.
func connectPoster(env action.Environment, in action.Inputs) (forge.Poster, error) {
	if !env.Gitea {
		return github.New(github.Config{API: env.APIURL, Repository: env.Repository, Token: in.Token, Patience: forge.Posting})
	}
	return gitea.New(gitea.Config{Server: env.ServerURL, Repository: env.Repository, Job: in.Token, Patience: forge.Posting})
}

// connectHostPoster writes as the host. GitHub's token lives as long as the job's post
// steps do, and needs none.
func connectHostPoster(env action.Environment) (forge.Poster, error) {
	if !env.Gitea {
		return nil, nil
	}
	host, err := hostCredential(env.ServerURL)
	if err != nil || host.IsEmpty() {
		return nil, err
	}
	return gitea.New(gitea.Config{Server: env.ServerURL, Repository: env.Repository, Job: host, Patience: forge.Posting})
}

func headOf(ctx context.Context, dir string) (string, error) {
	checkout, err := workspace.Open(ctx, dir)
	if err != nil {
		return "", err
	}
	return checkout.Head(ctx)
}

// runRequest resolves the request with what is the host's own, and runs it.
func (w *world) runRequest(ctx context.Context, req runner.Request, out runner.Output, progress runner.Progress) runner.Result {
	plan, err := w.planRequest(ctx, req)
	if err != nil {
		return action.Refusal(orCause(ctx, err))
	}
	for _, warning := range plan.Warnings {
		fmt.Fprintf(out, "warning: %s\n", neutralize.Text(warning))
	}
	w.deps.Stdout, w.deps.Stderr, w.deps.Progress = out, out, progress
	return runner.Run(ctx, plan, w.deps)
}

func (w *world) planRequest(ctx context.Context, req runner.Request) (plan runner.Plan, err error) {
	if w.configErr != nil {
		return plan, w.configErr
	}
	if req.BottleDirs, err = bottleFolders("", os.Getenv); err != nil {
		return plan, err
	}
	req.AgentDirs, req.Lookup = agentFolders("", os.Getenv), os.LookupEnv
	if req.Job != nil {
		req.Self = w.config.Self(req.Job.Server, req.Job.Repository)
	}
	req.Backend = cmp.Or(req.Backend, w.settings.Backend)
	if err := runner.CheckBackend(req.Backend, w.deps.Backends); err != nil {
		return plan, err
	}
	return runner.MakePlan(ctx, req)
}
