package action

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/objectid"
	"github.com/bot-bottle/action/internal/post"
	"github.com/bot-bottle/action/internal/report"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
)

// place is where a job is answered. It is handed from main to post, by the
// runner's file for that.
type place struct {
	Commit string `json:"commit"` // that the status is on
	Thread int64  `json:"thread"` // number of the issue or pull request; 0: none
}

// placeOf is the thread that asked, and of a pull request the head that was judged:
// the job's own commit is then another.
func placeOf(env Environment, t Trigger, facts Facts) place {
	p := place{Commit: env.SHA, Thread: t.Issue}
	if facts.PullRequest != nil {
		p.Commit = facts.PullRequest.HeadSHA
	}
	return p
}

// placeState is the name under which main leaves the place to post.
const placeState = "place"

// telling tells the forge of one step.
type telling struct {
	world   World
	voice   *voice
	in      Inputs
	env     Environment
	poster  forge.Poster
	posting *post.Posting // nil: nothing is asked for
}

// begin says that the step is at work. That it couldn't be said is no reason not to
// work.
func (w World) begin(ctx context.Context, v *voice, h Handover, in Inputs, env Environment, where place) (*telling, error) {
	t := &telling{world: w, voice: v, in: in, env: env}
	if len(in.Post) == 0 {
		return t, nil
	}
	if err := t.connect(h, where); err != nil {
		return nil, err
	}
	state, err := json.Marshal(where)
	if err == nil {
		err = w.leave(string(state))
	}
	if err != nil {
		return nil, err
	}
	if err := t.posting.Begin(ctx, t.working()); err != nil {
		v.warning(err.Error())
	}
	return t, nil
}

// leave leaves the place to post; empty: there is nothing to do for it.
func (w World) leave(place string) error {
	return appendTo(w.Getenv("GITHUB_STATE"), "state", placeState+"="+place+"\n")
}

func (t *telling) connect(h Handover, where place) (err error) {
	if t.in.Token.IsEmpty() {
		return inputError("post", "there is no token to post with").
			WithHint("leave the input `token` to its default, or set `post: none`")
	}
	if !objectid.Is(where.Commit) {
		where.Commit = ""
	}
	if t.poster, err = t.world.Poster(t.env, t.in); err != nil {
		return err
	}
	t.posting = post.New(t.poster, post.Job{
		Kinds: t.in.Post, Mark: markOf(h), Thread: where.Thread, Commit: where.Commit, Context: statusContext(t.env), URL: t.env.RunURL,
	})
	return nil
}

// markOf tells this step from all others, without telling its handle.
func markOf(h Handover) string {
	sum := sha256.Sum256([]byte("mark of " + h.Handle))
	return hex.EncodeToString(sum[:10])
}

// statusContext is the same for each run of a job, so that its status is replaced.
func statusContext(env Environment) string {
	name := strings.Join(slices.DeleteFunc([]string{env.Workflow, env.Job}, func(s string) bool { return s == "" }), " / ")
	if name == "" {
		return "bot-bottle"
	}
	return "bot-bottle: " + term.Shorten(neutralize.Text(name), 100)
}

func (t *telling) working() string {
	return "**bot-bottle** is at work on this." + t.log()
}

func (t *telling) log() string {
	if t.env.RunURL == "" {
		return ""
	}
	return " [Log](" + t.env.RunURL + ")."
}

// end says how the step ended. Where that can't be said, a step that passed has not.
func (t *telling) end(ctx context.Context, d done) runner.Result {
	if t.posting == nil {
		return d.Result
	}
	err := t.say(ctx, d)
	if len(d.Report.Remainders) == 0 { // else something of the guest's may still run
		err = t.asHost(err, func() error { return t.say(ctx, d) })
	}
	if err == nil {
		err = t.world.leave("")
	}
	if err == nil {
		return d.Result
	}
	if d.Code != runner.ExitOK {
		t.voice.failure(err)
		return d.Result
	}
	return failing(d.Result, err)
}

// say says how the step ended, in all the ways that are asked for.
func (t *telling) say(ctx context.Context, d done) error {
	err := t.posting.End(ctx, t.text(ctx, d), stateOf(d.Result), description(d))
	if slices.Contains(t.in.Post, post.Issue) {
		err = errors.Join(err, t.keepIssue(ctx, d))
	}
	return err
}

// asHost has it said again with the host's credential, where err is that the job's
// counts no more.
func (t *telling) asHost(err error, again func() error) error {
	if !errors.Is(err, forge.ErrLogin) || t.world.HostPoster == nil {
		return err
	}
	host, hostErr := t.world.HostPoster(t.env)
	if hostErr != nil || host == nil {
		return errors.Join(err, hostErr)
	}
	t.poster = host
	t.posting.Through(host)
	return again()
}

// text is the comment at the end.
func (t *telling) text(ctx context.Context, d done) string {
	text := t.public(ctx, d)
	if d.pull != nil {
		text = fmt.Sprintf("Pull request #%d has the work.\n\n", d.pull.Number) + text
	}
	text += "\n" + strings.TrimSpace(t.log()) + "\n"
	return fitting(text, "**bot-bottle**: "+description(d)+". The report is too long for a comment; it is on the host."+t.log()+"\n")
}

// public is what may be read of the report: in brief, with the agent's answer, and the
// rest folded. Each part is withheld by itself.
func (t *telling) public(ctx context.Context, d done) string {
	censor := newCensor(append(slices.Clone(d.Secrets), t.in.Token))
	if d.Report.Run.ID == "" {
		return censor.pass(ctx, summary(d.Result))
	}
	text := censor.pass(ctx, report.Brief(d.Report)) + answer(ctx, d, censor)
	details := censor.pass(ctx, report.Details(d.Report))
	if d.suite != nil {
		text += "\n## Sandbox-escape suite\n\n" + d.suite.Brief()
	}
	return text + "\n<details><summary>Proof, limits, stages</summary>\n" + details + "\n</details>\n"
}

// stateOf is success for what passed alone: a step may pass with less (`fail-on`).
func stateOf(r runner.Result) forge.State {
	switch r.Report.Outcome.Verdict {
	case report.Passed:
		return forge.Success
	case report.Failed, report.Escaped, report.Unproven, report.Refused:
		return forge.Failure
	}
	return forge.Error
}

// description has words and numbers of ours alone.
func description(d done) string {
	text := string(d.Report.Outcome.Verdict)
	if c := d.Report.Changes; c != nil && c.Refused == "" {
		text += ", " + term.Count(int64(len(c.Files)), "file changed", "files changed")
	}
	if n := refusals(d.Report); n > 0 {
		text += ", " + term.Count(n, "request refused", "requests refused")
	}
	return text
}

// keepIssue keeps the issue about this runner's host. A suite that was stopped says
// nothing of it.
func (t *telling) keepIssue(ctx context.Context, d done) error {
	if d.Report.Outcome.Verdict == report.Stopped {
		return nil
	}
	name := "this runner"
	if t.env.Runner != "" {
		name = term.Shorten(neutralize.Text(t.env.Runner), 100)
	}
	red := d.suite == nil || !d.suite.Held
	return post.KeepIssue(ctx, t.poster, "bot-bottle: the sandbox-escape suite is red on "+name, t.issueText(ctx, name, d, red), red)
}

func (t *telling) issueText(ctx context.Context, name string, d done, red bool) string {
	word := "holds again"
	if red {
		word = "does not hold, or could not be judged"
	}
	text := fmt.Sprintf("A bottle on %s %s.%s\n", report.Code(name), word, t.log())
	if d.suite == nil {
		return text + "\nThe suite did not run.\n\n" + t.public(ctx, d)
	}
	text += "\n" + d.suite.Brief()
	if d.suite.Error != "" {
		text += "\nIt came to no end: " + report.Code(d.suite.Error) + "\n"
	}
	return text
}

// abandon says that main is gone, killed or with an answer that the forge didn't take,
// where it says still that it is at work. It is not the step's failure if that can't be
// said.
func (w PostWorld) abandon(ctx context.Context, v *voice, h Handover) {
	left := w.Getenv("STATE_" + placeState)
	in, err := ParseInputs(h.Inputs)
	if left == "" || h.Handle == "" || err != nil || len(in.Post) == 0 {
		return
	}
	var where place
	if err := json.Unmarshal([]byte(left), &where); err != nil {
		v.warning("reading what main left: " + err.Error())
		return
	}
	v.mask(in.Token)
	env, err := ReadEnvironment(w.Getenv)
	if err == nil {
		t := &telling{world: w.World, in: in, env: env}
		if err = t.connect(h, where); err == nil {
			abandon := func() error {
				return t.posting.Abandon(ctx, "**bot-bottle** is gone, and could not say how this ended."+t.log()+"\n", "ended without a word")
			}
			err = t.asHost(abandon(), abandon)
		}
	}
	if err != nil {
		v.warning(err.Error())
	}
}
