package gitgate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// mirror is the bare repository of one upstream. Whoever works on it holds mu: for
// reading what upload-pack serves, for writing a refresh or a push.
type mirror struct {
	name     string
	dir      string
	git      Git
	upstream Upstream
	also     []string // refs beside branches and tags
	mu       sync.RWMutex
	format   string // of object ids; empty: there is no repository yet
}

// Times that git may take.
const (
	refreshTime = 10 * time.Minute
	forwardTime = 10 * time.Minute
	localTime   = 5 * time.Minute
)

// refresh makes the mirror what the upstream is. The caller holds mu.
func (m *mirror) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, refreshTime, fmt.Errorf("not done within %v", refreshTime))
	defer cancel()
	s, err := m.upstream.Dial(ctx, UploadPack)
	if err != nil {
		return err
	}
	defer s.Close()
	g, err := s.greet()
	if err != nil {
		return err
	}
	if g.format == "" {
		g.format = m.askFormat(ctx)
	}
	if err := m.prepare(ctx, g.format); err != nil {
		return err
	}
	if g.empty {
		return m.clear(ctx)
	}
	fetch := []string{"fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--force", "--update-head-ok", "fd::3,4",
		"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"}
	for _, ref := range m.also {
		fetch = append(fetch, "+"+ref+":"+ref)
	}
	err = m.over(ctx, s, nil, fetch...)
	if err != nil {
		return err
	}
	return m.follow(ctx, g.head)
}

// askFormat asks the service for pushes, which tells its kind of ids of an empty
// repository, too. Who may not ask that gets what nearly all have.
func (m *mirror) askFormat(ctx context.Context) string {
	s, err := m.upstream.Dial(ctx, ReceivePack)
	if err != nil {
		return "sha1"
	}
	defer s.Close()
	g, err := s.greet()
	if err != nil || g.format == "" {
		return "sha1"
	}
	return g.format
}

// prepare makes the repository, with the upstream's kind of object ids. One that
// changes its kind is another one.
func (m *mirror) prepare(ctx context.Context, format string) error {
	if format != "sha1" && format != "sha256" {
		return fmt.Errorf("mirroring %q: it has object ids of the kind %.20q, which is not known here", m.name, format)
	}
	if m.format == format {
		return nil
	}
	if m.format != "" {
		return fmt.Errorf("mirroring %q: its object ids were of the kind %s, and are %s now", m.name, m.format, format)
	}
	if err := os.MkdirAll(filepath.Dir(m.dir), 0o700); err != nil {
		return err
	}
	if _, err := m.git.run(ctx, m.dir, nil, nil, "init", "--quiet", "--bare", "--template=", "--object-format="+format, "--initial-branch=main", m.dir); err != nil {
		return err
	}
	m.format = format
	return nil
}

// clear removes all refs: the upstream has none.
func (m *mirror) clear(ctx context.Context) error {
	refs, err := m.git.run(ctx, m.dir, nil, nil, "for-each-ref", "--format=delete %(refname)")
	if err != nil {
		return err
	}
	_, err = m.git.run(ctx, m.dir, nil, bytes.NewReader(refs), "update-ref", "--stdin")
	return err
}

// follow lets HEAD lead where the upstream's does, so that a clone checks the same
// branch out.
func (m *mirror) follow(ctx context.Context, head string) error {
	if head == "" || !strings.HasPrefix(head, "refs/heads/") {
		return nil
	}
	_, err := m.git.run(ctx, m.dir, nil, nil, "symbolic-ref", "HEAD", head)
	return err
}

// over runs git with a session as the other end of the pipes 3 and 4. What git did
// not do is told in the upstream's words, where it said something.
func (m *mirror) over(ctx context.Context, s *Session, env []string, args ...string) error {
	cmd := m.git.Command(ctx, m.dir, env, args...)
	var told tail
	cmd.Stdout, cmd.Stderr = &told, &told
	fromUpstream, toGit, err := os.Pipe()
	if err != nil {
		return err
	}
	fromGit, toUpstream, err := os.Pipe()
	if err != nil {
		return errors.Join(err, fromUpstream.Close(), toGit.Close())
	}
	cmd.ExtraFiles = []*os.File{fromUpstream, toUpstream}
	err = cmd.Start()
	fromUpstream.Close()
	toUpstream.Close()
	var copying sync.WaitGroup
	copying.Go(func() {
		io.Copy(toGit, s)
		toGit.Close()
	})
	copying.Go(func() {
		io.Copy(s, fromGit)
		s.CloseWrite()
	})
	if err == nil {
		err = cmd.Wait()
	}
	fromGit.Close()
	said := ""
	if err != nil {
		said = s.said()
	}
	s.Close() // ends both copies
	copying.Wait()
	if err != nil {
		err = gitError(ctx, args[0], err, &told)
	}
	if said != "" {
		err = fmt.Errorf("%w (the upstream said: %s)", err, said)
	}
	return err
}

// refs gives each ref of the mirror with its id.
func (m *mirror) refs(ctx context.Context) (map[string]string, error) {
	out, err := m.git.run(ctx, m.dir, nil, nil, "for-each-ref", "--format=%(objectname) %(refname)")
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if id, ref, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok {
			refs[ref] = id
		}
	}
	return refs, nil
}
