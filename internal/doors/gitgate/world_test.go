package gitgate

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// server is an SSH server on loopback with real repositories, which it serves with
// git's own programs.
type server struct {
	t        *testing.T
	dir      string
	listener net.Listener
	host     ssh.Signer
	client   ssh.Signer

	mu       sync.Mutex
	sessions []string                   // commands, in their order
	before   func(command string) error // nil: nothing happens
}

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: t.TempDir(), listener: l, host: newSigner(t), client: newSigner(t)}
	var serving sync.WaitGroup
	serving.Go(s.accept)
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return s
}

func (s *server) accept() {
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(s.client.PublicKey().Marshal()) {
			return nil, errors.New("not registered")
		}
		return nil, nil
	}}
	config.AddHostKey(s.host)
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		go s.serve(conn, config)
	}
}

func (s *server) serve(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		go s.session(channel, requests)
	}
}

var gitCommand = regexp.MustCompile(`^(git-upload-pack|git-receive-pack) '([\w./-]+)'$`)

func (s *server) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		var exec struct{ Command string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &exec) != nil {
			r.Reply(false, nil)
			continue
		}
		r.Reply(true, nil)
		status := s.run(channel, exec.Command)
		channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		return
	}
}

func (s *server) run(channel ssh.Channel, command string) uint32 {
	s.mu.Lock()
	s.sessions = append(s.sessions, command)
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if err := before(command); err != nil {
			fmt.Fprintln(channel.Stderr(), err)
			return 1
		}
	}
	parts := gitCommand.FindStringSubmatch(command)
	if parts == nil {
		return 127
	}
	cmd := exec.Command("git", strings.TrimPrefix(parts[1], "git-"), filepath.Join(s.dir, parts[2]))
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	in, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return 1
	}
	go func() { io.Copy(in, channel); in.Close() }()
	if cmd.Wait() != nil {
		return 1
	}
	return 0
}

// said gives the commands so far.
func (s *server) said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.sessions...)
}

func (s *server) upstream(path string) Upstream {
	a := netip.MustParseAddrPort(s.listener.Addr().String())
	return Upstream{User: "git", Host: a.Addr().String(), Port: a.Port(), Path: path, HostKey: s.host.PublicKey(), Signer: s.client}
}

// run runs git as a person would, in dir.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := tryGit(t, dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

func tryGit(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=ada", "GIT_COMMITTER_EMAIL=ada@example.com",
		"http_proxy=", "https_proxy=", "no_proxy=*")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// world is a door before a server with the repository widgets.git, which has one
// commit on main, and a folder for clones.
type world struct {
	*server
	door     *Door
	url      string
	dir      string
	judged   []Pushed
	judgment func(Pushed) error
	log      *memoryLog
}

const pushable = "refs/heads/bottle/run1"

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	w := &world{server: newServer(t), dir: t.TempDir(), log: &memoryLog{}}
	w.repository("widgets.git")
	w.commit("widgets.git", "main", map[string]string{"README": "hello\n"})
	program, err := FindGit()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	o := Options{
		Repositories: []Repository{{Name: "widgets", Upstream: w.upstream("widgets.git"), Push: &PushRules{Refs: []string{pushable}}}},
		Dir:          t.TempDir(), Git: Git{Program: program, Home: home}, Log: w.log,
		Judge: func(_ context.Context, p Pushed) error {
			w.judged = append(w.judged, p)
			if w.judgment != nil {
				return w.judgment(p)
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

// repository makes an empty one on the server.
func (w *world) repository(name string, args ...string) {
	w.t.Helper()
	git(w.t, w.server.dir, append(append([]string{"init", "--quiet", "--bare", "--initial-branch=main"}, args...), name)...)
}

// commit adds one with these files to a branch on the server, past the door.
func (w *world) commit(repository, branch string, files map[string]string) string {
	w.t.Helper()
	dir := w.t.TempDir()
	git(w.t, dir, "clone", "--quiet", filepath.Join(w.server.dir, repository), "c")
	dir = filepath.Join(dir, "c")
	if _, err := tryGit(w.t, dir, "checkout", "--quiet", branch); err != nil {
		git(w.t, dir, "checkout", "--quiet", "-B", branch)
	}
	w.change(dir, files)
	git(w.t, dir, "push", "--quiet", "origin", branch)
	return git(w.t, dir, "rev-parse", "HEAD")
}

// change commits files in a checkout.
func (w *world) change(dir string, files map[string]string) string {
	w.t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			w.t.Fatal(err)
		}
	}
	git(w.t, dir, "add", "--all")
	git(w.t, dir, "commit", "--quiet", "--message", "change")
	return git(w.t, dir, "rev-parse", "HEAD")
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

// has gives the id of a ref of a repository on the server; empty: there is none.
func (w *world) has(repository, ref string) string {
	w.t.Helper()
	out, err := tryGit(w.t, filepath.Join(w.server.dir, repository), "rev-parse", "--verify", "--quiet", ref)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}

// pushes counts the pushes that the server saw.
func (w *world) pushes() (n int) {
	for _, command := range w.said() {
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
