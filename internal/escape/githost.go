package escape

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/action/internal/doors/gitgate"
	"github.com/bot-bottle/action/internal/escape/attack"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/sshserver"
)

// gitHost is a forge's SSH server on this host's loopback, without a forge and
// without git: every repository is there and empty, every push is taken. What it is
// told is kept, the objects unpacked.
type gitHost struct {
	listener net.Listener
	host     ssh.Signer
	client   ssh.Signer // whom it lets in
	key      string     // of it, in PEM
	keep     func(name string, b []byte)

	mu     sync.Mutex
	pushes map[string]int // sessions for pushes, by repository
}

// gitKeyName is the name of its key in the suite's policy.
const gitKeyName = "suite-git-key"

func startGitHost(ctx context.Context, keep func(string, []byte)) (*gitHost, error) {
	g := &gitHost{keep: keep, pushes: map[string]int{}}
	var err error
	if g.host, _, err = sshserver.NewSigner(); err == nil {
		g.client, g.key, err = sshserver.NewSigner()
	}
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	if g.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("starting a stand-in: %w", err)
	}
	go sshserver.Server{Host: g.host, Allow: g.allows, Run: g.answer, Limit: connectionTime}.Serve(g.listener)
	return g, nil
}

func (g *gitHost) close() { g.listener.Close() }

// remotes are the repositories of the suite's policy.
func (g *gitHost) remotes() []policy.GitRemote {
	remote := func(name string) policy.GitRemote {
		return policy.GitRemote{
			Name: name, URL: fmt.Sprintf("ssh://git@%s/%s.git", g.listener.Addr(), name), KeyName: gitKeyName,
			HostKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(g.host.PublicKey()))), Push: []string{attack.PushedRefs},
		}
	}
	readOnly, accepting := remote(attack.ReadOnlyRepository), remote(attack.AcceptingRepository)
	readOnly.Push = nil
	accepting.Protected = attack.AcceptedPaths
	return []policy.GitRemote{remote(attack.WorkRepository), remote(attack.SecretRepository), readOnly, accepting}
}

func (g *gitHost) secret() secret.Value { return secret.New(gitKeyName, g.key) }

// pushed tells how many pushes to a repository were begun.
func (g *gitHost) pushed(repository string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pushes[repository]
}

// aliveRepository is asked for by alive, and by nobody else.
const aliveRepository = "alive"

// alive shows that the host keeps what is pushed: it is pushed to, as a leak would.
func (g *gitHost) alive(ctx context.Context, holder func(canary string) (name, encoding string)) error {
	if g == nil {
		return nil
	}
	u, err := gitgate.ParseUpstream(fmt.Sprintf("ssh://git@%s/%s.git", g.listener.Addr(), aliveRepository), string(ssh.MarshalAuthorizedKey(g.host.PublicKey())))
	if err != nil {
		return err
	}
	u.Signer = g.client
	named, held := newCanary(), newCanary()
	s, err := u.Dial(ctx, gitgate.ReceivePack)
	if err != nil {
		return fmt.Errorf("asking a stand-in of our own: %w", err)
	}
	defer s.Close()
	var pack attack.Pack
	commit := pack.Commit(pack.Tree(attack.File("README", pack.Blob(held))), "a commit")
	if _, err := s.Write(attack.PushBody(&pack, attack.Update{New: commit, Ref: "refs/heads/" + named})); err != nil {
		return fmt.Errorf("pushing to a stand-in of our own: %w", err)
	}
	if _, err := io.ReadAll(io.LimitReader(s, maxCommands)); err != nil {
		return fmt.Errorf("pushing to a stand-in of our own: %w", err)
	}
	for _, canary := range []string{named, held} {
		if name, _ := holder(canary); name == "" {
			return errors.New("the git host of the stand-ins keeps nothing")
		}
	}
	return nil
}

// connectionTime bounds one connection; a push of the suite's takes far less.
const connectionTime = time.Minute

func (g *gitHost) allows(key ssh.PublicKey) bool {
	return bytes.Equal(key.Marshal(), g.client.PublicKey().Marshal())
}

func (g *gitHost) answer(command string, channel ssh.Channel) (status uint32) {
	g.keep("git host", []byte(command+"\n"))
	if err := g.run(channel, command); err != nil {
		fmt.Fprintln(channel.Stderr(), err)
		return 1
	}
	return 0
}

// gitCommand is what git asks for over SSH (gitprotocol-pack(5), "SSH Transport").
var gitCommand = regexp.MustCompile(`^(git-upload-pack|git-receive-pack) '/?([a-z-]+)\.git'$`)

func (g *gitHost) run(c io.ReadWriter, command string) error {
	parts := gitCommand.FindStringSubmatch(command)
	if parts == nil {
		return errors.New("there is no such repository")
	}
	// A service that has no ref to show says so in this form.
	shown := attack.AppendPacket(nil, strings.Repeat("0", 40)+" capabilities^{}\x00report-status object-format=sha1\n")
	if _, err := c.Write(append(shown, attack.Flush...)); err != nil || parts[1] == string(gitgate.UploadPack) {
		return err
	}
	g.mu.Lock()
	g.pushes[parts[2]]++
	g.mu.Unlock()
	return g.receive(parts[2], c)
}

// Bounds of one push.
const (
	maxCommands = 1 << 16
	maxObjects  = 1000
	maxObject   = 1 << 20
)

// receive takes a push, whatever it is.
func (g *gitHost) receive(repository string, c io.ReadWriter) error {
	in := bufio.NewReader(c)
	var refs []string
	for kept := 0; kept < maxCommands; {
		line, err := readPacket(in)
		if err != nil || line == nil {
			break // the end; who hangs up has said all
		}
		kept += len(line)
		g.keep("git host "+repository, line)
		command, _, _ := bytes.Cut(line, []byte{0})
		if words := strings.Fields(string(command)); len(words) == 3 {
			refs = append(refs, words[2])
		}
	}
	if len(refs) == 0 {
		return nil
	}
	report := attack.AppendPacket(nil, "unpack ok\n")
	if err := g.unpack(repository, in); err != nil {
		return err
	}
	for _, ref := range refs {
		report = attack.AppendPacket(report, "ok "+ref+"\n")
	}
	_, err := c.Write(append(report, attack.Flush...))
	return err
}

// readPacket gives the payload of one pkt-line; nil: a flush.
func readPacket(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(string(head[:]), 16, 16)
	if err != nil || n > 0 && n < 4 {
		return nil, fmt.Errorf("reading a packet of length %q", head)
	}
	if n == 0 {
		return nil, nil
	}
	payload := make([]byte, n-4)
	_, err = io.ReadFull(r, payload)
	return payload, err
}

// unpack keeps the content of a pack's objects (gitformat-pack(5)); of one that is
// stored as a difference, the difference.
func (g *gitHost) unpack(repository string, in *bufio.Reader) error {
	var head struct{ Magic, Version, Objects uint32 }
	if err := binary.Read(in, binary.BigEndian, &head); err != nil {
		return fmt.Errorf("reading a pack: %w", err)
	}
	if head.Objects > maxObjects {
		return fmt.Errorf("reading a pack: it has %d objects", head.Objects)
	}
	for range head.Objects {
		if err := skipHead(in); err != nil {
			return fmt.Errorf("reading a pack: %w", err)
		}
		z, err := zlib.NewReader(in)
		if err != nil {
			return fmt.Errorf("reading a pack: %w", err)
		}
		content, err := io.ReadAll(io.LimitReader(z, maxObject))
		g.keep("git host "+repository, content)
		if err == nil && len(content) == maxObject {
			err = errors.New("it is too large")
		}
		if err != nil {
			return fmt.Errorf("reading an object: %w", err)
		}
	}
	_, err := io.CopyN(io.Discard, in, 20) // the checksum
	return err
}

// Kinds of objects that are stored as a difference.
const (
	offsetDelta = 6
	refDelta    = 7
)

// skipHead reads what stands before an object's bytes.
func skipHead(in *bufio.Reader) error {
	first, err := in.ReadByte()
	if err == nil && first&0x80 != 0 {
		err = skipNumber(in)
	}
	if err != nil {
		return err
	}
	switch first >> 4 & 7 {
	case offsetDelta:
		return skipNumber(in)
	case refDelta:
		_, err = in.Discard(20)
	}
	return err
}

func skipNumber(in *bufio.Reader) error {
	for {
		if b, err := in.ReadByte(); err != nil || b&0x80 == 0 {
			return err
		}
	}
}
