package action

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/post"
)

// Facts are the forge's answers to what a Trigger needs to know.
type Facts struct {
	Access      map[string]forge.Access // by login, as asked
	Self        *forge.User             // nil: our token has no account of its own
	PullRequest *forge.PullRequest      // nil: the trigger is about none
	PushedAt    time.Time               // of its head; zero: not asked, as the event pins the head
}

// Gather asks the forge.
func Gather(ctx context.Context, f forge.Forge, t Trigger) (Facts, error) {
	facts := Facts{Access: map[string]forge.Access{}}
	if err := facts.gatherAccess(ctx, f, t); err != nil {
		return facts, err
	}
	if t.Words != nil && strings.Contains(t.Words.Body, post.Marker) {
		if err := facts.gatherSelf(ctx, f); err != nil {
			return facts, err
		}
	}
	if t.PullRequest == 0 {
		return facts, nil
	}
	return facts, facts.gatherPullRequest(ctx, f, t)
}

func (facts *Facts) gatherAccess(ctx context.Context, f forge.Forge, t Trigger) error {
	for _, p := range t.People {
		access, err := f.Access(ctx, p.Login)
		if err != nil {
			return err
		}
		facts.Access[p.Login] = access
	}
	return nil
}

// gatherSelf leaves Self nil where the token has no account.
func (facts *Facts) gatherSelf(ctx context.Context, f forge.Forge) error {
	self, err := f.Self(ctx)
	if err == nil {
		facts.Self = &self
	}
	if errors.Is(err, forge.ErrRight) || errors.Is(err, forge.ErrLogin) {
		return nil
	}
	return err
}

func (facts *Facts) gatherPullRequest(ctx context.Context, f forge.Forge, t Trigger) error {
	pr, err := f.PullRequest(ctx, t.PullRequest)
	if err != nil {
		return err
	}
	facts.PullRequest = &pr
	if t.HeadSHA == "" && !t.At.IsZero() && pr.Head.ID == pr.Base.ID { // a fork is refused in any case
		facts.PushedAt, err = f.PushedAt(ctx, pr)
	}
	return err
}

// Judge decides whether t may start a job. It asks nobody.
func Judge(t Trigger, facts Facts) error {
	if t.ByPolicy {
		return nil
	}
	if err := judgeWords(t, facts); err != nil {
		return err
	}
	for _, p := range t.People {
		if err := judgePerson(p, facts.Access[p.Login]); err != nil {
			return err
		}
	}
	if t.PullRequest == 0 {
		return nil
	}
	return judgePullRequest(t, facts)
}

// judgeWords refuses what we said ourselves, or a job's comment would start the
// next job. A marker without an account to compare with is enough.
func judgeWords(t Trigger, facts Facts) error {
	if t.Words == nil || !strings.Contains(t.Words.Body, post.Marker) {
		return nil
	}
	if facts.Self == nil || facts.Self.ID == t.Words.Author.ID {
		return refused("the comment is our own").WithHint("let the workflow's `if:` look for a word that bot-bottle doesn't write")
	}
	return nil
}

// judgePerson compares ids where the event has one: the login may belong to
// somebody else by now.
func judgePerson(p Person, access forge.Access) error {
	if p.ID != 0 && access.User.ID != p.ID {
		return refused("%q, who %s, is account %d, and the forge knows that login as account %d", p.Login, p.Part, p.ID, access.User.ID)
	}
	if !access.Level.CanWrite() && !mutation.On(mutation.TriggerAnybody) {
		return refused("%q, who %s, may not write to the repository (the forge says %q)", p.Login, p.Part, access.Level).
			WithHint("somebody who may write has to ask: by a comment, a label or a dispatch")
	}
	return nil
}

func judgePullRequest(t Trigger, facts Facts) error {
	pr := facts.PullRequest
	switch {
	case pr == nil || pr.Number != t.PullRequest || pr.HeadSHA == "":
		return refused("the forge gave no pull request %d", t.PullRequest)
	case pr.Head.ID == 0 || pr.Head.ID != pr.Base.ID:
		return refused("pull request %d comes from a fork", pr.Number).
			WithHint("push the branch to the repository itself, after reading it, and open the pull request from there")
	case t.HeadSHA != "" && t.HeadSHA != pr.HeadSHA:
		return refused("pull request %d was pushed to since: its head was %q and is %q", pr.Number, t.HeadSHA, pr.HeadSHA).WithHint(askAgain)
	case t.HeadSHA == "" && !t.At.IsZero() && !facts.PushedAt.Before(t.At): // in the same second either may have been first
		return refused("pull request %d was pushed to at %s, the comment is of %s", pr.Number, stamp(facts.PushedAt), stamp(t.At)).WithHint(askAgain)
	case t.HeadSHA == "" && !t.At.IsZero() && facts.PushedAt.IsZero():
		return refused("when pull request %d was pushed to is not known", pr.Number).WithHint(askAgain)
	}
	return nil
}

// askAgain is a hint.
const askAgain = "look at what was pushed, then ask again"

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
