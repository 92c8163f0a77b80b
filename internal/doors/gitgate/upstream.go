package gitgate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/bot-bottle/action/internal/term"
)

// Upstream is a repository on an SSH server.
type Upstream struct {
	User    string
	Host    string // a name, or an address
	Port    uint16
	Path    string // as the server is told it
	HostKey ssh.PublicKey
	Signer  ssh.Signer // the run's key; nil: Dial refuses
}

// Limits of the way to an upstream.
const (
	dialTime  = 20 * time.Second // to the end of the handshake
	stallTime = 5 * time.Minute  // without a byte in either direction
)

// scpForm is user@host:path, without a scheme.
var scpForm = regexp.MustCompile(`^([^@/:]+)@([^@/:]+|\[[0-9A-Fa-f:.]+\]):([^/].*|/.*)$`)

// ParseUpstream reads ssh://user@host[:port]/path or user@host:path, and the key of
// the server as "TYPE BASE64".
func ParseUpstream(address, hostKey string) (Upstream, error) {
	u, err := ParseAddress(address)
	if err != nil {
		return u, err
	}
	if u.HostKey, _, _, _, err = ssh.ParseAuthorizedKey([]byte(hostKey)); err != nil {
		return u, fmt.Errorf("reading the host key of %q: %w", address, err)
	}
	return u, nil
}

// Repository is the path as forges name it: OWNER/NAME, without slashes around it and
// without .git.
func (u Upstream) Repository() string { return strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git") }

// ParseAddress reads the address alone.
func ParseAddress(address string) (Upstream, error) {
	if m := scpForm.FindStringSubmatch(address); m != nil && !strings.Contains(address, "://") {
		return Upstream{User: m[1], Host: strings.Trim(m[2], "[]"), Port: 22, Path: m[3]}, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "ssh" || u.Hostname() == "" || u.Path == "" || u.User.Username() == "" {
		return Upstream{}, fmt.Errorf("reading the address %q: it is neither ssh://user@host/path nor user@host:path", address)
	}
	port := uint64(22)
	if p := u.Port(); p != "" {
		if port, err = strconv.ParseUint(p, 10, 16); err != nil || port == 0 {
			return Upstream{}, fmt.Errorf("reading the address %q: %q is no port", address, p)
		}
	}
	return Upstream{User: u.User.Username(), Host: u.Hostname(), Port: uint16(port), Path: u.Path}, nil
}

// Service is what is asked of an SSH server.
type Service string

// The services (gitprotocol-pack(5), "SSH Transport").
const (
	UploadPack  Service = "git-upload-pack"
	ReceivePack Service = "git-receive-pack"
)

// Session is one service at work. Reading and writing are its standard streams.
type Session struct {
	io.Writer
	in      *bufio.Reader
	session *ssh.Session
	client  *ssh.Client
	stderr  tail
	ended   chan struct{}
	forget  func() bool // lets ctx go
}

// Read reads what the service prints.
func (s *Session) Read(p []byte) (int, error) { return s.in.Read(p) }

// Dial starts a service on the upstream. The session ends with ctx, or by Close.
func (u Upstream) Dial(ctx context.Context, service Service) (*Session, error) {
	if u.Signer == nil {
		return nil, fmt.Errorf("connecting to %s: there is no key for it", u.address())
	}
	soon, cancel := context.WithTimeoutCause(ctx, dialTime, fmt.Errorf("no answer within %v", dialTime))
	defer cancel()
	conn, err := new(net.Dialer).DialContext(soon, "tcp", u.address())
	if err != nil {
		return nil, u.explain(soon, err)
	}
	stop := context.AfterFunc(soon, func() { conn.Close() }) // whatever then waits on it has an error
	s, err := u.start(conn, service)
	if !stop() || err != nil {
		conn.Close()
		return nil, u.explain(soon, err)
	}
	s.forget = context.AfterFunc(ctx, func() { conn.Close() })
	return s, nil
}

func (u Upstream) address() string { return net.JoinHostPort(u.Host, strconv.Itoa(int(u.Port))) }

func (u Upstream) connect(conn net.Conn) (*ssh.Client, error) {
	c, channels, requests, err := ssh.NewClientConn(&stalling{Conn: conn, limit: stallTime}, u.address(), &ssh.ClientConfig{
		User: u.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(u.Signer)},
		HostKeyCallback: ssh.FixedHostKey(u.HostKey), HostKeyAlgorithms: algorithms(u.HostKey), ClientVersion: "SSH-2.0-bot-bottle",
	})
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// algorithms are those by which a server can show that it has the pinned key: an RSA
// key signs in two ways (RFC 8332).
func algorithms(key ssh.PublicKey) []string {
	if key.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{key.Type()}
}

// start begins the service; whoever called it closes conn after an error.
func (u Upstream) start(conn net.Conn, service Service) (*Session, error) {
	client, err := u.connect(conn)
	if err != nil {
		return nil, err
	}
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	in, err := session.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s := &Session{Writer: in, in: bufio.NewReaderSize(out, maxPacket), session: session, client: client, ended: make(chan struct{})}
	session.Stderr = &s.stderr
	if err := session.Start(string(service) + " " + quote(u.Path)); err != nil {
		return nil, err
	}
	go func() {
		session.Wait()
		close(s.ended)
	}()
	return s, nil
}

// quote is as git does it for the shell that some servers use (quote.c, sq_quote).
func quote(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}

// CloseWrite says that nothing more is to come.
func (s *Session) CloseWrite() error { return s.Writer.(io.Closer).Close() }

// Close ends the session and its connection.
func (s *Session) Close() error {
	s.forget()
	return s.client.Close()
}

// said gives what the server's program printed as an error, once it has ended or a
// moment has passed.
func (s *Session) said() string {
	select {
	case <-s.ended:
	case <-time.After(time.Second):
		return ""
	}
	return s.stderr.String()
}

// explain names the upstream and what helps.
func (u Upstream) explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	told := term.Errorf(term.StageWork, u.Host, "connecting to %s: %w", u.address(), err)
	var op *net.OpError
	switch {
	case strings.Contains(err.Error(), "host key mismatch"), strings.Contains(err.Error(), "no common algorithm for host key"):
		told.WithHint("the server shows another key than the bottle's host_key; ask its administrator, then compare with bot-bottle hostkey %s", u.Host)
	case strings.Contains(err.Error(), "unable to authenticate"):
		told.WithHint("the server refuses the bottle's key for user %q: see that it is registered with the repository", u.User)
	case errors.As(err, &op):
		told.WithHint("see that the host can reach %s", u.address())
	}
	return told
}

// stalling ends a connection that doesn't move.
type stalling struct {
	net.Conn
	limit time.Duration
}

// Read reads, within the limit.
func (s *stalling) Read(p []byte) (int, error) {
	s.Conn.SetReadDeadline(time.Now().Add(s.limit))
	return s.Conn.Read(p)
}

// Write writes, within the limit.
func (s *stalling) Write(p []byte) (int, error) {
	s.Conn.SetWriteDeadline(time.Now().Add(s.limit))
	return s.Conn.Write(p)
}

// greeting is what a server says of its repository before anything is asked.
type greeting struct {
	format string // "sha1" or "sha256"; empty: not told, of an empty repository
	head   string // ref that HEAD leads to; empty: not told
	empty  bool   // there is no ref
}

// greet looks at the first line of a service without taking it away. A server that
// refuses says so in its place, or on its error stream.
func (s *Session) greet() (greeting, error) {
	line, err := s.peek()
	if err != nil {
		if said := s.said(); said != "" {
			err = errors.New(said)
		}
		return greeting{}, fmt.Errorf("asking the upstream: %w", err)
	}
	if message, ok := bytes.CutPrefix(line, []byte("ERR ")); ok {
		return greeting{}, fmt.Errorf("asking the upstream: it says %q", bytes.TrimSpace(message))
	}
	return readGreeting(line), nil
}

// peek gives the payload of the first pkt-line; nil: it is a flush.
func (s *Session) peek() ([]byte, error) {
	head, err := s.in.Peek(4)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(string(head), 16, 16)
	if err != nil || n > maxPacket || n > 0 && n < 4 {
		return nil, errPacket
	}
	if n == 0 {
		return nil, nil
	}
	line, err := s.in.Peek(int(n))
	if err != nil {
		return nil, err
	}
	return line[4:], nil
}

func readGreeting(line []byte) greeting {
	if line == nil {
		return greeting{empty: true}
	}
	g := greeting{format: "sha1"} // what a server that knows no other kind doesn't say
	ref, capabilities, _ := bytes.Cut(line, []byte{0})
	g.empty = bytes.Contains(ref, []byte("capabilities^{}"))
	for word := range strings.FieldsSeq(string(capabilities)) {
		if format, ok := strings.CutPrefix(word, "object-format="); ok {
			g.format = format
		}
		if head, ok := strings.CutPrefix(word, "symref=HEAD:"); ok && checkRef(head) == nil {
			g.head = head
		}
	}
	return g
}
