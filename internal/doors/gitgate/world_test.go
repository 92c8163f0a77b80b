package gitgate

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/sshtest"
)

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	signer, _ := sshtest.NewSigner(t)
	return signer
}

// git runs git as a person would, in dir.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return sshtest.Run(t, dir, args...)
}

func tryGit(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	out, err := sshtest.Git(dir, args...).CombinedOutput()
	return string(out), err
}

// world is a door before a server with the repository widgets.git, which has one
// commit on main, and a folder for clones.
type world struct {
	*sshtest.Server
	t        testing.TB
	door     *Door
	url      string
	dir      string
	mu       sync.Mutex // of the two below
	judged   []Pushed
	judgment func(Pushed) error
	log      *memoryLog
}

const pushable = "refs/heads/bottle/run1"

func newWorld(t testing.TB, change ...func(*Options)) *world {
	t.Helper()
	w := &world{Server: sshtest.New(t), t: t, dir: t.TempDir(), log: &memoryLog{}}
	w.Repository("widgets.git", map[string]string{"README": "hello\n"})
	program, err := FindGit()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	o := Options{
		Repositories: []Repository{{Name: "widgets", Upstream: w.upstream("widgets.git"), Push: &PushRules{Refs: []string{pushable}}}},
		Dir:          t.TempDir(), Git: Git{Program: program, Home: home}, Log: w.log,
		Judge: func(_ context.Context, p Pushed) error {
			w.mu.Lock()
			w.judged = append(w.judged, p)
			judgment := w.judgment
			w.mu.Unlock()
			if judgment != nil {
				return judgment(p)
			}
			return nil
		},
	}
	for _, c := range change {
		c(&o)
	}
	if w.door, err = New(o); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.door.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	w.url = "http://" + l.Addr().String() + "/"
	return w
}

// judge has do judge from now on; nil: nothing is refused.
func (w *world) judge(do func(Pushed) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.judgment = do
}

// upstream is a repository of the server's.
func (w *world) upstream(path string) Upstream {
	a := w.Address.AddrPort()
	return Upstream{User: "git", Host: a.Addr().String(), Port: a.Port(), Path: path, HostKey: w.Host.PublicKey(), Signer: w.Client}
}

// change commits files in a checkout.
func (w *world) change(dir string, files map[string]string) string {
	w.t.Helper()
	return sshtest.Change(w.t, dir, files)
}

// clone clones through the door.
func (w *world) clone(args ...string) string {
	w.t.Helper()
	dir, err := os.MkdirTemp(w.dir, "clone")
	if err != nil {
		w.t.Fatal(err)
	}
	git(w.t, dir, append(append([]string{"clone", "--quiet"}, args...), w.url+"widgets.git", "c")...)
	return filepath.Join(dir, "c")
}

// pushes counts the pushes that the server saw.
func (w *world) pushes() (n int) {
	for _, command := range w.Commands() {
		if strings.HasPrefix(command, "git-receive-pack") {
			n++
		}
	}
	return n
}

// memoryLog keeps decision lines.
type memoryLog struct {
	mu    sync.Mutex
	lines []decision.Line
	fail  bool
}

func (l *memoryLog) Verdict(line decision.Line) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail {
		return 0, errors.New("the disk is full")
	}
	line.ID, line.Kind = uint64(len(l.lines)+1), decision.KindVerdict
	l.lines = append(l.lines, line)
	return line.ID, nil
}

func (l *memoryLog) End(id uint64, line decision.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line.ID, line.Kind = id, decision.KindEnd
	l.lines = append(l.lines, line)
}

// full makes the log one that takes no more.
func (l *memoryLog) full() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = true
}

// moved are the refs that end lines tell of, each with its commit.
func (l *memoryLog) moved() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		for _, m := range line.Moved {
			all = append(all, m.Ref+" "+m.Commit)
		}
	}
	return all
}

// rules gives the rules of the refusals so far.
func (l *memoryLog) rules() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var rules []string
	for _, line := range l.lines {
		if line.Verdict == decision.Refuse {
			rules = append(rules, line.Rule)
		}
	}
	return rules
}

// checkLines sees that each verdict has its end.
func (l *memoryLog) checkLines(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	open := map[uint64]bool{}
	for _, line := range l.lines {
		if line.Door != decision.GitGate {
			t.Errorf("a line of %q", line.Door)
		}
		open[line.ID] = line.Kind == decision.KindVerdict
	}
	for id, is := range open {
		if is {
			t.Errorf("verdict %d has no end", id)
		}
	}
}
