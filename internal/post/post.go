// Package post tells a forge what a job does and did: a status on the commit, one
// comment in the thread that asked, edited in place to the end, and one issue for
// as long as a nightly gate is red.
//
// It promises that what stands is found again by its author's id and the job's
// mark, never by the mark alone, which anybody can copy; that nothing is said
// twice because an answer was lost; and that an error names the right that was
// missing.
//
// It does not make texts harmless: what a guest chose has been quoted by whoever
// wrote the text (internal/report), and no secret may be in it.
package post

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/term"
)

// Marker stands in everything that bot-bottle posts, so that its own comment
// starts no job.
const Marker = "<!-- bot-bottle -->"

// Kind is a way of telling.
type Kind string

// The kinds.
const (
	Comment Kind = "comment" // in the thread that asked; nothing where none did
	Status  Kind = "status"  // on the job's commit
	Issue   Kind = "issue"   // open while the sandbox-escape suite is red
)

// Kinds are all of them.
var Kinds = []Kind{Comment, Status, Issue}

// Job is what is told of.
type Job struct {
	Kinds   []Kind
	Mark    string // of this job and no other: letters and digits
	Thread  int64  // number of the issue or pull request that asked; 0: none
	Commit  string // full hash
	Context string // under which the status stands
	URL     string // of the job's log; empty: none
}

func (j Job) comments() bool  { return slices.Contains(j.Kinds, Comment) && j.Thread != 0 }
func (j Job) hasStatus() bool { return slices.Contains(j.Kinds, Status) && j.Commit != "" }

// The states of a comment, which stand in its mark.
const (
	working = "working"
	done    = "done"
)

func (j Job) mark(state string) string { return "<!-- job " + j.Mark + " " + state + " -->" }

// body is a comment's whole text.
func (j Job) body(state, text string) string {
	return Marker + "\n" + j.mark(state) + "\n" + text
}

// Posting is a job that is being told of.
type Posting struct {
	forge forge.Poster
	job   Job
	mu    sync.Mutex
	id    int64 // of the comment; 0: there is none, or its answer was lost
	asked bool  // a comment may stand though id is 0
}

// New tells nothing yet.
func New(f forge.Poster, j Job) *Posting { return &Posting{forge: f, job: j} }

// Through has f say what comes: another account, in the place of one whose credential
// has ended. The comment stays the one that stands. Nothing else of p may be under way.
func (p *Posting) Through(f forge.Poster) { p.forge = f }

// Patience bounds: a job isn't kept waiting by its acknowledgement, and its end by
// no more than what a forge needs to restart.
const (
	beginPatience = 10 * time.Second
	endPatience   = 2 * time.Minute
)

// Begin says that the job is at work: the status is pending, and text stands as a
// comment. What could not be said now is said by End; the error is for a warning.
func (p *Posting) Begin(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, beginPatience)
	defer cancel()
	return p.say(ctx, working, text, forge.Pending, "at work")
}

// End replaces what Begin said. It does so even if ctx has ended, as that of a
// cancelled job has.
func (p *Posting) End(ctx context.Context, text string, state forge.State, description string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	return p.say(ctx, done, text, state, description)
}

func (p *Posting) say(ctx context.Context, mark, text string, state forge.State, description string) error {
	var wait sync.WaitGroup
	var commentErr, statusErr error
	if p.job.comments() {
		wait.Go(func() { commentErr = p.comment(ctx, p.job.body(mark, text)) })
	}
	if p.job.hasStatus() {
		wait.Go(func() {
			statusErr = p.forge.SetStatus(ctx, p.job.Commit, forge.Status{Context: p.job.Context, State: state, Description: description, URL: p.job.URL})
		})
	}
	wait.Wait()
	return inPost(errors.Join(commentErr, statusErr))
}

// comment edits the comment, and makes one where there is none or somebody has
// removed it.
func (p *Posting) comment(ctx context.Context, body string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.find(ctx); err != nil {
		return err
	}
	if p.id != 0 {
		if err := p.forge.EditComment(ctx, p.id, body); !errors.Is(err, forge.ErrAbsent) {
			return err
		}
	}
	p.asked = true
	c, err := p.forge.CreateComment(ctx, p.job.Thread, body)
	p.id = c.ID
	return err
}

// find looks for a comment whose making was not confirmed.
func (p *Posting) find(ctx context.Context) error {
	if p.id != 0 || !p.asked {
		return nil
	}
	c, err := p.own(ctx)
	if c != nil {
		p.id = c.ID
	}
	return err
}

// own gives the job's comment, or nil.
func (p *Posting) own(ctx context.Context) (*forge.Comment, error) {
	author, err := p.forge.Author(ctx)
	if err != nil {
		return nil, err
	}
	comments, err := p.forge.Comments(ctx, p.job.Thread)
	if err != nil {
		return nil, err
	}
	for _, c := range comments {
		marked := strings.Contains(c.Body, p.job.mark(working)) || strings.Contains(c.Body, p.job.mark(done))
		if marked && c.Author.ID == author.ID {
			return &c, nil
		}
	}
	return nil, nil
}

// Abandon says text of a job whose own process is gone, where it left something
// that says that it is at work. Where it had its say, Abandon changes nothing.
func (p *Posting) Abandon(ctx context.Context, text, description string) error {
	ctx, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	var errs []error
	if p.job.comments() {
		errs = append(errs, p.abandonComment(ctx, text))
	}
	if p.job.hasStatus() {
		errs = append(errs, p.abandonStatus(ctx, description))
	}
	return inPost(errors.Join(errs...))
}

func (p *Posting) abandonComment(ctx context.Context, text string) error {
	c, err := p.own(ctx)
	if err != nil || c == nil || !strings.Contains(c.Body, p.job.mark(working)) {
		return err
	}
	return p.forge.EditComment(ctx, c.ID, p.job.body(done, text))
}

// abandonStatus leaves a status alone that another job of the same name has set
// since.
func (p *Posting) abandonStatus(ctx context.Context, description string) error {
	s, err := p.forge.StatusOf(ctx, p.job.Commit, p.job.Context)
	if err != nil || s == nil || s.State != forge.Pending || s.URL != p.job.URL {
		return err
	}
	return p.forge.SetStatus(ctx, p.job.Commit, forge.Status{Context: p.job.Context, State: forge.Error, Description: description, URL: p.job.URL})
}

// inPost gives err the stage of posting, and a hint.
func inPost(err error) error {
	if err == nil {
		return nil
	}
	told := term.Errorf(term.StagePost, "", "posting: %w", err)
	if errors.Is(err, forge.ErrRight) || errors.Is(err, forge.ErrAbsent) {
		told.WithHint("give the workflow `permissions: { issues: write, pull-requests: write, statuses: write }` besides what it has (Gitea asks for `contents: write` in the place of `statuses`), or say in the input `post` what to leave out")
	}
	return told
}

// KeepIssue keeps one issue with this title, of our own, open while red, with body
// as its text, and closes it when green, with body as its last text. There is
// never more than one, and none is opened by green.
func KeepIssue(ctx context.Context, f forge.Poster, title, body string, red bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	own, err := ownIssues(ctx, f, title)
	if err != nil {
		return inPost(err)
	}
	body = Marker + "\n" + body
	if red && len(own) == 0 {
		_, err := f.CreateIssue(ctx, title, body)
		return inPost(err)
	}
	for i, issue := range own {
		text, closed := body, !red
		if i > 0 && red {
			text, closed = Marker+"\n"+fmt.Sprintf("The same as #%d.", own[0].Number), true
		}
		err = errors.Join(err, f.EditIssue(ctx, issue.Number, text, closed))
	}
	return inPost(err)
}

func ownIssues(ctx context.Context, f forge.Poster, title string) ([]forge.Issue, error) {
	author, err := f.Author(ctx)
	if err != nil {
		return nil, err
	}
	open, err := f.OpenIssues(ctx)
	if err != nil {
		return nil, err
	}
	return forge.OwnIssues(open, author, title), nil
}
