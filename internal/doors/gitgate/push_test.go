package gitgate

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAPushReachesTheUpstreamAfterItWasJudged(t *testing.T) {
	w := newWorld(t)
	dir := w.clone()
	id := w.change(dir, map[string]string{"new": "x"})
	w.judge(func(p Pushed) error {
		if w.pushes() != 0 {
			t.Error("the upstream was asked before the judge was through")
		}
		if !slices.Equal(p.New, []string{id}) || len(p.Known) != 1 || p.Repository != "widgets" {
			t.Errorf("judged %+v", p)
		}
		if out, err := p.Git.run(t.Context(), p.Dir, p.Env, nil, "show", id+":new"); err != nil || string(out) != "x" {
			t.Errorf("the judge sees %q, %v", out, err)
		}
		return nil
	})
	git(t, dir, "push", "origin", "HEAD:"+pushable)
	if w.Ref("widgets.git", pushable) != id || w.pushes() != 1 {
		t.Errorf("the upstream has %s after %d pushes", w.Ref("widgets.git", pushable), w.pushes())
	}
	id = w.change(dir, map[string]string{"new": "y"})
	w.judge(nil)
	git(t, dir, "push", "origin", "HEAD:"+pushable)
	if w.Ref("widgets.git", pushable) != id || len(w.judged) != 2 || len(w.judged[1].Known) != 2 {
		t.Errorf("a second push: %+v", w.judged)
	}
	if got := w.log.moved(); !slices.Equal(got, []string{pushable + " " + w.judged[0].New[0], pushable + " " + id}) {
		t.Errorf("the end lines tell of %v", got)
	}
	w.log.checkLines(t)
	left, err := filepath.Glob(filepath.Join(w.door.options.Dir, "mirrors", "push-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAShallowCloneCanPush(t *testing.T) {
	w := judging(t, JudgeOptions{})
	w.Commit("widgets.git", "main", map[string]string{"README": "again\n"})
	dir := w.clone("--depth=1")
	id := w.change(dir, map[string]string{"new": "x"})
	git(t, dir, "push", "--quiet", "origin", "HEAD:"+pushable)
	if w.Ref("widgets.git", pushable) != id {
		t.Error("the push did not arrive")
	}
}

func TestAShutDoorLetsNothingPass(t *testing.T) {
	w := newWorld(t)
	dir := w.clone()
	w.change(dir, map[string]string{"new": "x"})
	begun := make(chan struct{})
	w.judge(func(Pushed) error { // until the door is shut
		close(begun)
		<-w.door.closed.Done()
		return nil
	})
	ended := make(chan error, 1)
	go func() {
		_, err := tryGit(t, dir, "push", "origin", "HEAD:"+pushable)
		ended <- err
	}()
	<-begun
	w.door.Shut()
	if err := <-ended; err == nil || w.pushes() != 0 {
		t.Errorf("what was under way passed: %v", w.Commands())
	}
	w.refusedPush(t, dir, RuleShut, "lets nothing pass any more", "HEAD:"+pushable)
	if out, err := tryGit(t, dir, "fetch"); err == nil {
		t.Errorf("a fetch passed: %s", out)
	}
}

// refusedPush pushes with args, and sees that it was refused by rule, in these words,
// and that the upstream wasn't asked.
func (w *world) refusedPush(t *testing.T, dir, rule, words string, args ...string) {
	t.Helper()
	before := len(w.log.rules())
	sessions := len(w.Commands())
	out, err := tryGit(t, dir, append([]string{"push", "origin"}, args...)...)
	if err == nil || !strings.Contains(out, words) {
		t.Errorf("push %v: %v: %s", args, err, out)
	}
	if rules := w.log.rules(); len(rules) != before+1 || rules[before] != rule {
		t.Errorf("push %v was refused by %v instead of %q", args, rules[before:], rule)
	}
	if said := w.Commands(); len(said) != sessions {
		t.Errorf("push %v: the upstream was asked: %v", args, said[sessions:])
	}
}

func TestAPushIsRefusedByWhatItChanges(t *testing.T) {
	w := newWorld(t)
	dir := w.clone()
	w.change(dir, map[string]string{"new": "x"})
	git(t, dir, "push", "origin", "HEAD:"+pushable)
	git(t, dir, "tag", "v1")
	for _, ref := range []string{"refs/heads/main", "refs/heads/bottle/other", "refs/heads/bottle/run1/x", "refs/tags/v1", "refs/pull/1/head", "refs/notes/commits", "refs/for/main"} {
		w.refusedPush(t, dir, RuleRef, "the bottle does not list \""+ref+"\"; it lists "+pushable, "HEAD:"+ref)
	}
	w.change(dir, map[string]string{"two": "x"})
	w.refusedPush(t, dir, RuleRef, "does not list", "HEAD:"+pushable, "HEAD:refs/heads/main") // all or nothing
	git(t, dir, "reset", "--quiet", "--hard", "HEAD~2")
	w.change(dir, map[string]string{"three": "x"})
	w.refusedPush(t, dir, RuleForce, "would lose commits", "--force", "HEAD:"+pushable)
	if out, err := tryGit(t, dir, "push", "origin", ":"+pushable); err == nil {
		t.Errorf("deletion: %s", out)
	}
	git(t, dir, "pull", "--quiet", "--no-rebase", "--no-edit", "origin", "bottle/run1")
	if out, err := tryGit(t, dir, "push", "-o", "repo.private=false", "origin", "HEAD:"+pushable); err == nil || !strings.Contains(out, "push options") {
		t.Errorf("push option: %v: %s", err, out)
	}
	if w.Ref("widgets.git", "main") == "" || len(git(t, filepath.Join(w.Server.Dir, "widgets.git"), "for-each-ref")) == 0 || w.pushes() != 1 {
		t.Errorf("the upstream saw %v", w.Commands())
	}
	w.log.checkLines(t)
}

func TestTheJudgesWordsReachThePusher(t *testing.T) {
	w := newWorld(t)
	dir := w.clone()
	w.change(dir, map[string]string{"new": "x"})
	w.judge(func(Pushed) error {
		return &Refused{Rule: "secret", Message: "gitleaks found a secret", Details: []string{"new:1: generic-api-key"}}
	})
	w.refusedPush(t, dir, "secret", "remote: new:1: generic-api-key", "HEAD:"+pushable)
	w.judge(func(Pushed) error { return errors.New("it took too long") })
	w.refusedPush(t, dir, RuleNotJudged, "could not be judged: it took too long", "HEAD:"+pushable)
	w.judge(nil)
	w.log.full()
	if out, err := tryGit(t, dir, "push", "origin", "HEAD:"+pushable); err == nil || w.pushes() != 0 {
		t.Errorf("what can't be written down passes: %s", out)
	}
}

func TestAReadOnlyRepositoryIsNotPushedTo(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Repositories[0].Push = nil })
	dir := w.clone()
	w.change(dir, map[string]string{"new": "x"})
	w.refusedPush(t, dir, RuleReadOnly, "it can be read only", "HEAD:"+pushable)
}

// A deadline that was set for a piece of the pack must not end a push that is being
// judged, and one for a piece of the answer must not cut the answer off.
func TestAJudgeMayTakeLongerThanAPiece(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Stall = 300 * time.Millisecond })
	dir := w.clone()
	id := w.change(dir, map[string]string{"new": "x"})
	w.judge(func(Pushed) error {
		time.Sleep(time.Second) // longer than a piece may take is the test's subject
		return nil
	})
	git(t, dir, "push", "origin", "HEAD:"+pushable)
	if w.Ref("widgets.git", pushable) != id {
		t.Error("the push did not arrive")
	}
}

func TestAnUpstreamThatRefusesIsHeard(t *testing.T) {
	w := newWorld(t)
	hook := filepath.Join(w.Server.Dir, "widgets.git/hooks/pre-receive")
	if err := errors.Join(os.MkdirAll(filepath.Dir(hook), 0o755), os.WriteFile(hook, []byte("#!/bin/sh\necho the branch is protected >&2\nexit 1\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	dir := w.clone()
	w.change(dir, map[string]string{"new": "x"})
	out, err := tryGit(t, dir, "push", "origin", "HEAD:"+pushable)
	if err == nil || !strings.Contains(out, "the branch is protected") || w.Ref("widgets.git", pushable) != "" {
		t.Errorf("%v: %s", err, out)
	}
	if err := os.Remove(hook); err != nil {
		t.Fatal(err)
	}
	w.Before(func(string) error { return errors.New("down for maintenance") })
	if out, err := tryGit(t, dir, "push", "origin", "HEAD:"+pushable); err == nil || !strings.Contains(out, "down for maintenance") {
		t.Errorf("%v: %s", err, out)
	}
	w.log.checkLines(t)
}

func TestABranchThatSomebodyElseMovedIsNotOverwritten(t *testing.T) {
	w := newWorld(t)
	dir := w.clone()
	w.change(dir, map[string]string{"new": "x"})
	git(t, dir, "push", "origin", "HEAD:"+pushable)
	theirs := w.Commit("widgets.git", "bottle/run1", map[string]string{"theirs": "x"})
	w.change(dir, map[string]string{"new": "y"})
	out, err := tryGit(t, dir, "push", "origin", "HEAD:"+pushable)
	if err == nil || w.Ref("widgets.git", pushable) != theirs {
		t.Errorf("%v: %s", err, out)
	}
	git(t, dir, "pull", "--quiet", "--no-rebase", "--no-edit", "origin", "bottle/run1")
	git(t, dir, "push", "origin", "HEAD:"+pushable)
	if w.Ref("widgets.git", pushable) != git(t, dir, "rev-parse", "HEAD") {
		t.Error("after a pull the push did not arrive")
	}
}
