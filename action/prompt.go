package action

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/post"
)

// Bounds of a prompt that is made from an event: what a person would read before
// starting, and far below what any model takes in.
const (
	maxPromptBytes   = 64 << 10
	maxTextBytes     = 16 << 10 // of one body or comment
	maxTitleBytes    = 512
	maxThreadEntries = 50
)

// Thread is what was said before, oldest first, by people who may write.
type Thread []forge.Comment

// GatherThread asks the forge for the thread of t and leaves out what the job
// was asked with, what was said later, what we said, and what was said by people
// who may not write. facts is added to.
func GatherThread(ctx context.Context, f forge.Forge, t Trigger, facts Facts) (Thread, error) {
	if t.Issue == 0 {
		return nil, nil
	}
	all, err := f.Comments(ctx, t.Issue)
	if err != nil {
		return nil, err
	}
	var thread Thread
	for i := len(all) - 1; i >= 0 && len(thread) < maxThreadEntries; i-- {
		c := all[i]
		if t.isLater(c) || strings.Contains(c.Body, post.Marker) {
			continue
		}
		writes, err := facts.canWrite(ctx, f, c.Author)
		if err != nil {
			return nil, err
		}
		if writes {
			thread = append(Thread{c}, thread...)
		}
	}
	return thread, nil
}

// isLater tells whether c is what the job was asked with, or younger.
func (t Trigger) isLater(c forge.Comment) bool {
	return t.Words != nil && c.ID == t.Words.ID || !t.At.IsZero() && c.Created.After(t.At)
}

// canWrite asks once for each account. One that the forge doesn't know any more
// may not.
func (facts Facts) canWrite(ctx context.Context, f forge.Forge, u forge.User) (bool, error) {
	if u.Login == "" {
		return false, nil
	}
	access, known := facts.Access[u.Login]
	if !known {
		var err error
		access, err = f.Access(ctx, u.Login)
		if err != nil && !errors.Is(err, forge.ErrAbsent) {
			return false, err
		}
		facts.Access[u.Login] = access
	}
	return access.Level.CanWrite() && access.User.ID == u.ID, nil
}

// Prompt makes the event the task: title and body, the thread, the words that
// the job was asked with, and where a pull request stands. It is empty for an
// event without words. At most 64 KiB; of a longer thread the oldest entries go
// first, and a note says so.
func Prompt(e Event, t Trigger, facts Facts, thread Thread) string {
	if e.Prompt != "" {
		return clip(e.Prompt, maxPromptBytes)
	}
	head, tail := subject(e), closing(t, facts)
	if head+tail == "" {
		return ""
	}
	return head + said(thread, maxPromptBytes-len(head)-len(tail)) + tail
}

// subject is the issue or pull request: its texts as they were at the event.
func subject(e Event) string {
	switch p := e.PullRequest; {
	case p != nil:
		return section(fmt.Sprintf("Pull request %d by %s: %s", p.Number, p.Author.Login, title(p.Title)), p.Body)
	case e.Issue != nil && e.Issue.Pull:
		return section(fmt.Sprintf("Pull request %d by %s: %s", e.Issue.Number, e.Issue.Author.Login, title(e.Issue.Title)), e.Issue.Body)
	case e.Issue != nil:
		return section(fmt.Sprintf("Issue %d by %s: %s", e.Issue.Number, e.Issue.Author.Login, title(e.Issue.Title)), e.Issue.Body)
	}
	return ""
}

// closing is where the pull request stands, and the words.
func closing(t Trigger, facts Facts) string {
	var b strings.Builder
	if pr := facts.PullRequest; pr != nil {
		fmt.Fprintf(&b, "# The pull request's head is commit %s of branch %s; it is to go into %s.\n\n", pr.HeadSHA, title(pr.HeadRef), title(pr.BaseRef))
	}
	if t.Words != nil {
		b.WriteString(section(fmt.Sprintf("%s asks you", t.Words.Author.Login), t.Words.Body))
	}
	return b.String()
}

// said gives the newest entries of the thread that fit into room bytes, oldest
// first.
func said(thread Thread, room int) string {
	text, left := "", len(thread)
	for i := len(thread) - 1; i >= 0; i-- {
		c := thread[i]
		s := section(fmt.Sprintf("%s wrote at %s", c.Author.Login, stamp(c.Created)), c.Body)
		if len(s)+len(text) > room-len(leftOut(len(thread))) {
			break
		}
		text, left = s+text, i
	}
	if left > 0 {
		return leftOut(left) + text
	}
	return text
}

func leftOut(n int) string { return fmt.Sprintf("# %d older comments are left out.\n\n", n) }

func section(heading, body string) string {
	return "# " + title(heading) + "\n\n" + clip(strings.TrimSpace(body), maxTextBytes) + "\n\n"
}

// title gives s as one line.
func title(s string) string {
	return clip(strings.Join(strings.Fields(s), " "), maxTitleBytes)
}

// clip cuts s at a character and says so.
func clip(s string, limit int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
	if len(s) <= limit {
		return s
	}
	const note = " […the rest is left out]"
	cut := limit - len(note)
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + note
}
