package attack

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/guest/probe"
	"golang.org/x/sys/unix"
)

// prober makes the attempts of one case.
type prober struct {
	plan   Plan
	canary string
	twin   string
	roots  *x509.CertPool
}

// patience is how long an attempt at a door may take. Doors answer within
// milliseconds; an attempt that runs out of it is inconclusive.
const patience = probe.Deadline

func (p *prober) door(d uint16) string { return net.JoinHostPort(p.plan.Alias, fmt.Sprint(d)) }

func (p *prober) egress() string { return p.door(decision.EgressPort) }

// answer is what a door, or what is behind it, said.
type answer struct {
	status int
	header http.Header
	body   string
}

// maxAnswer bounds what is read of a body.
const maxAnswer = 64 << 10

func dial(address string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", address, patience)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(patience))
	}
	return c, err
}

// say writes raw to a fresh connection to a door and reads one answer.
func say(address, raw string) (answer, error) {
	c, err := dial(address)
	if err != nil {
		return answer{}, err
	}
	defer c.Close()
	return ask(c, bufio.NewReader(c), raw)
}

// ask writes raw to c and reads one answer.
func ask(c net.Conn, r *bufio.Reader, raw string) (answer, error) {
	if _, err := io.WriteString(c, raw); err != nil {
		return answer{}, err
	}
	method, _, _ := strings.Cut(raw, " ")
	response, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	a := answer{status: response.StatusCode, header: response.Header}
	if method == http.MethodConnect && response.StatusCode == http.StatusOK {
		return a, nil // the tunnel begins
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	a.body = string(b)
	return a, err
}

// tunnel opens one to authority through the egress door.
func (p *prober) tunnel(authority, host string) (net.Conn, answer, error) {
	c, err := dial(p.egress())
	if err != nil {
		return nil, answer{}, err
	}
	a, err := ask(c, bufio.NewReader(c), "CONNECT "+authority+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
	if err != nil || a.status != http.StatusOK {
		c.Close()
		return nil, a, err
	}
	return c, a, nil
}

// secured opens a tunnel and TLS with the name sni within it.
func (p *prober) secured(authority, sni string) (*tls.Conn, answer, error) {
	c, a, err := p.tunnel(authority, authority)
	if c == nil {
		return nil, a, err
	}
	s := tls.Client(c, &tls.Config{ServerName: sni, RootCAs: p.roots, InsecureSkipVerify: sni == ""})
	if err := s.Handshake(); err != nil {
		c.Close()
		return nil, a, err
	}
	return s, a, nil
}

// fetch asks a listed host for raw, over TLS in a tunnel.
func (p *prober) fetch(host, raw string) (answer, error) {
	return p.fetchAt(host, 443, raw)
}

func (p *prober) fetchAt(host string, port uint16, raw string) (answer, error) {
	c, a, err := p.secured(at(host, port), host)
	if c == nil {
		return a, err
	}
	defer c.Close()
	return ask(c, bufio.NewReader(c), raw)
}

// get is a request for path with header lines, each ended by CRLF.
func get(host, path string, lines ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(lines, "") + "Connection: close\r\n\r\n"
}

func post(host, path, body string, lines ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%sConnection: close\r\n\r\n%s", path, host, len(body), strings.Join(lines, ""), body)
}

// try makes one attempt: do gives the door's answer, or the error.
func try(name string, want Want, do func() (answer, error)) Try {
	start := time.Now()
	a, err := do()
	t := Try{Name: name, Want: want, Elapsed: time.Since(start)}
	t.note(a, err)
	return t
}

func (t *Try) note(a answer, err error) {
	t.Status = a.status
	var errno syscall.Errno
	var timeout net.Error
	switch {
	case err == nil && a.status >= 400:
		t.Outcome, t.Detail = probe.Refused, firstLine(a.body)
	case err == nil:
		t.Outcome, t.Detail = probe.Reached, firstLine(a.body)
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		t.Outcome, t.Detail = probe.Silent, err.Error()
	case errors.As(err, &errno):
		t.Outcome, t.Errno, t.Detail = probe.Refused, unix.ErrnoName(errno), err.Error()
	default: // a closed connection, a TLS alert, a name that is not there
		t.Outcome, t.Detail = probe.Refused, err.Error()
	}
	t.Detail = t.Detail[:min(len(t.Detail), maxDetail)]
}

const maxDetail = 300

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// call makes an attempt of a system call or a file: an error is what has to come.
func call(name string, want Want, do func() error) Try {
	return try(name, want, func() (answer, error) { return answer{}, do() })
}

// errNothing means that an attempt found nothing to take.
var errNothing = errors.New("there is nothing")

// twinOf asks a listed host for something legitimate that carries the twin's mark.
func (p *prober) twinOf(host string) Try {
	return try("GET https://"+host+"/open", "", func() (answer, error) {
		return p.fetch(host, get(host, "/open/twin", "X-Twin: "+p.twin+"\r\n"))
	})
}

// answers is the twin of cases that need no route: the door is there, and judges.
func (p *prober) answers() Try {
	t := try("the egress door answers on the alias", "", func() (answer, error) {
		a, err := say(p.egress(), get(p.plan.Alias, "/"))
		if err == nil && a.status == http.StatusOK {
			err = errors.New("it took a request for itself")
		}
		return answer{status: a.status}, err
	})
	if t.Status >= 400 {
		t.Outcome = probe.Reached // an answer is what was wanted
	}
	return t
}
