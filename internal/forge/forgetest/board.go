package forgetest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/bot-bottle/action/internal/forge"
)

// Board is what is posted in one repository, in memory. It is a forge.Poster whose
// methods can be made to fail, before or after they took effect.
type Board struct {
	Me    forge.User
	Fail  func(method string) error // before the effect; nil: nothing fails
	Lose  func(method string) error // after the effect: the answer is lost
	mu    sync.Mutex
	next  int64
	calls []string

	Posted   []forge.Comment           // of all threads
	Threads  map[int64]int64           // thread of a comment, by the comment's id
	Statuses map[string][]forge.Status // by commit, oldest first
	Issues   []forge.Issue             // open ones
	Closed   []forge.Issue
	Pulls    []forge.PullRequest
}

// NewBoard gives an empty one, on which me writes.
func NewBoard(me forge.User) *Board {
	return &Board{Me: me, Threads: map[int64]int64{}, Statuses: map[string][]forge.Status{}}
}

// do does one method's effect, and fails where it is told to.
func (b *Board) do(ctx context.Context, method string, effect func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, method)
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.Fail != nil {
		if err := b.Fail(method); err != nil {
			return err
		}
	}
	if err := effect(); err != nil {
		return err
	}
	if b.Lose != nil {
		return b.Lose(method)
	}
	return nil
}

// Calls gives the methods that were called, in their order.
func (b *Board) Calls() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.calls)
}

func (b *Board) id() int64 { b.next++; return b.next }

// Author gives Me.
func (b *Board) Author(ctx context.Context) (u forge.User, err error) {
	err = b.do(ctx, "Author", func() error { u = b.Me; return nil })
	return u, err
}

// SetStatus adds a status.
func (b *Board) SetStatus(ctx context.Context, commit string, s forge.Status) error {
	return b.do(ctx, "SetStatus", func() error {
		b.Statuses[commit] = append(b.Statuses[commit], s)
		return nil
	})
}

// StatusOf gives the newest of a context.
func (b *Board) StatusOf(ctx context.Context, commit, statusContext string) (found *forge.Status, err error) {
	err = b.do(ctx, "StatusOf", func() error {
		for _, s := range b.Statuses[commit] {
			if s.Context == statusContext {
				found = &s
			}
		}
		return nil
	})
	return found, err
}

// Comments gives those of a thread.
func (b *Board) Comments(ctx context.Context, number int64) (list []forge.Comment, err error) {
	err = b.do(ctx, "Comments", func() error {
		for _, c := range b.Posted {
			if b.Threads[c.ID] == number {
				list = append(list, c)
			}
		}
		return nil
	})
	return list, err
}

// CreateComment adds one by Me.
func (b *Board) CreateComment(ctx context.Context, number int64, body string) (c forge.Comment, err error) {
	err = b.do(ctx, "CreateComment", func() error {
		c = forge.Comment{ID: b.id(), Author: b.Me, Body: body}
		b.Posted, b.Threads[c.ID] = append(b.Posted, c), number
		return nil
	})
	if err != nil {
		return forge.Comment{}, err
	}
	return c, nil
}

// EditComment replaces the text of one.
func (b *Board) EditComment(ctx context.Context, id int64, body string) error {
	return b.do(ctx, "EditComment", func() error {
		for i := range b.Posted {
			if b.Posted[i].ID == id {
				b.Posted[i].Body = body
				return nil
			}
		}
		return fmt.Errorf("comment %d: %w", id, forge.ErrAbsent)
	})
}

// OpenIssues gives the open ones.
func (b *Board) OpenIssues(ctx context.Context) (list []forge.Issue, err error) {
	err = b.do(ctx, "OpenIssues", func() error { list = slices.Clone(b.Issues); return nil })
	return list, err
}

// CreateIssue opens one by Me.
func (b *Board) CreateIssue(ctx context.Context, title, body string) (i forge.Issue, err error) {
	err = b.do(ctx, "CreateIssue", func() error {
		i = forge.Issue{Number: b.id(), Title: title, Body: body, Author: b.Me}
		b.Issues = append(b.Issues, i)
		return nil
	})
	return i, err
}

// EditIssue replaces the text of an open one.
func (b *Board) EditIssue(ctx context.Context, number int64, body string, closed bool) error {
	return b.do(ctx, "EditIssue", func() error {
		i := slices.IndexFunc(b.Issues, func(i forge.Issue) bool { return i.Number == number })
		if i < 0 {
			return fmt.Errorf("issue %d: %w", number, forge.ErrAbsent)
		}
		b.Issues[i].Body = body
		if closed {
			b.Closed = append(b.Closed, b.Issues[i])
			b.Issues = slices.Delete(b.Issues, i, i+1)
		}
		return nil
	})
}

// OpenPullRequest gives the one between two branches.
func (b *Board) OpenPullRequest(ctx context.Context, head, base string) (found *forge.PullRequest, err error) {
	err = b.do(ctx, "OpenPullRequest", func() error {
		for _, p := range b.Pulls {
			if p.HeadRef == head && p.BaseRef == base {
				found = &p
			}
		}
		return nil
	})
	return found, err
}

// CreatePullRequest opens one by Me.
func (b *Board) CreatePullRequest(ctx context.Context, n forge.NewPullRequest) (p forge.PullRequest, err error) {
	err = b.do(ctx, "CreatePullRequest", func() error {
		p = forge.PullRequest{Number: b.id(), Title: n.Title, Body: n.Body, HeadRef: n.Head, BaseRef: n.Base, Author: b.Me}
		b.Pulls = append(b.Pulls, p)
		return nil
	})
	return p, err
}

// EditPullRequest replaces title and text of one.
func (b *Board) EditPullRequest(ctx context.Context, number int64, title, body string) error {
	return b.do(ctx, "EditPullRequest", func() error {
		for i := range b.Pulls {
			if b.Pulls[i].Number == number {
				b.Pulls[i].Title, b.Pulls[i].Body = title, body
				return nil
			}
		}
		return fmt.Errorf("pull request %d: %w", number, forge.ErrAbsent)
	})
}

var _ forge.Poster = (*Board)(nil)
