// Package sshtest is an SSH server on loopback that serves real git repositories by
// git's own programs, for tests. It knows one key, and keeps what it was asked.
package sshtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/action/internal/sshserver"
)

// Server is the server. Its repositories are below Dir.
type Server struct {
	Dir     string
	Address net.TCPAddr
	Host    ssh.Signer // by which it shows who it is
	HostKey string     // of it, "TYPE BASE64"
	Client  ssh.Signer // whom it lets in
	Key     string     // of it, in PEM

	t        testing.TB
	mu       sync.Mutex
	commands []string
	before   func(command string) error
	allowed  func(key string) bool
}

// NewSigner gives a new key, and its PEM.
func NewSigner(t testing.TB) (ssh.Signer, string) {
	t.Helper()
	signer, key, err := sshserver.NewSigner()
	if err != nil {
		t.Fatal(err)
	}
	return signer, key
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Dir: t.TempDir(), Address: *l.Addr().(*net.TCPAddr), t: t}
	s.Host, _ = NewSigner(t)
	s.Client, s.Key = NewSigner(t)
	s.HostKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.Host.PublicKey())))
	var serving sync.WaitGroup
	serving.Go(func() { sshserver.Server{Host: s.Host, Allow: s.allows, Run: s.run}.Serve(l) })
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return s
}

// URL gives that of a repository.
func (s *Server) URL(repository string) string {
	return fmt.Sprintf("ssh://git@%s/%s", s.Address.String(), repository)
}

// Before has do decide about each command; its error is what the client is told.
func (s *Server) Before(do func(command string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = do
}

// Commands gives those that were run, in their order.
func (s *Server) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.commands...)
}

// Allow has do decide about each key besides Client's, "TYPE BASE64".
func (s *Server) Allow(do func(key string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed = do
}

func (s *Server) allows(key ssh.PublicKey) bool {
	if string(key.Marshal()) == string(s.Client.PublicKey().Marshal()) {
		return true
	}
	s.mu.Lock()
	allowed := s.allowed
	s.mu.Unlock()
	return allowed != nil && allowed(strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))))
}

var gitCommand = regexp.MustCompile(`^(git-upload-pack|git-receive-pack) '/?([\w./-]+)'$`)

func (s *Server) run(command string, channel ssh.Channel) uint32 {
	s.mu.Lock()
	s.commands = append(s.commands, command)
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
	cmd := exec.Command("git", strings.TrimPrefix(parts[1], "git-"), filepath.Join(s.Dir, parts[2]))
	cmd.Env = environment()
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

func environment() []string {
	return append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=ada", "GIT_COMMITTER_EMAIL=ada@example.com",
		"http_proxy=", "https_proxy=", "no_proxy=*")
}

// Git gives git as a person would run it in dir, with no configuration of the host's.
func Git(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = dir, environment()
	return cmd
}

// Run runs it to its end.
func Run(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := Git(dir, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// Bare makes an empty repository.
func (s *Server) Bare(name string, args ...string) {
	s.t.Helper()
	Run(s.t, s.Dir, append(append([]string{"init", "--quiet", "--bare", "--initial-branch=main"}, args...), name)...)
}

// Repository makes one with a first commit of these files on main.
func (s *Server) Repository(name string, files map[string]string) string {
	s.t.Helper()
	s.Bare(name)
	return s.Commit(name, "main", files)
}

// Commit adds one with these files to a branch, which it makes where there is none.
func (s *Server) Commit(repository, branch string, files map[string]string) string {
	s.t.Helper()
	dir := s.t.TempDir()
	Run(s.t, dir, "clone", "--quiet", filepath.Join(s.Dir, repository), "c")
	dir = filepath.Join(dir, "c")
	if Git(dir, "checkout", "--quiet", branch).Run() != nil {
		Run(s.t, dir, "checkout", "--quiet", "-B", branch)
	}
	id := Change(s.t, dir, files)
	Run(s.t, dir, "push", "--quiet", "origin", branch)
	return id
}

// Change commits files in a checkout, and gives the commit.
func Change(t testing.TB, dir string, files map[string]string) string {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	Run(t, dir, "add", "--all")
	Run(t, dir, "commit", "--quiet", "--message", "change")
	return Run(t, dir, "rev-parse", "HEAD")
}

// Ref gives the id of a ref of a repository; empty: there is none.
func (s *Server) Ref(repository, ref string) string {
	out, err := Git(filepath.Join(s.Dir, repository), "rev-parse", "--verify", "--quiet", ref).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
