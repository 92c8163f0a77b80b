package gitgate

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// maxQuestion bounds what a client may say in a fetch: the ids it has and wants.
const maxQuestion = 64 << 20

// protocols are what a client may ask for by Git-Protocol (gitprotocol-v2(5)).
var protocols = []string{"version=2", "version=1", "version=0"}

func (x *exchange) protocol() []string {
	if p := x.r.Header.Get("Git-Protocol"); slices.Contains(protocols, p) {
		return []string{"GIT_PROTOCOL=" + p}
	}
	return nil
}

// advertise refreshes the mirror and tells what is in it: the beginning of a fetch.
func (x *exchange) advertise() {
	id, ok := x.allow("")
	if !ok {
		return
	}
	var f *refusal
	count := &counter{w: x.w}
	defer func() { x.endFetch(id, f, count.n) }()
	x.mirror.mu.Lock()
	err := x.mirror.refresh(x.r.Context())
	x.mirror.mu.Unlock()
	if err != nil {
		f = &refusal{RuleUpstream, http.StatusBadGateway, fmt.Sprintf("fetching from the upstream: %v", err)}
		x.answerRefusal(*f)
		return
	}
	x.answerAs("application/x-git-upload-pack-advertisement")
	if x.protocol() == nil || x.protocol()[0] != "GIT_PROTOCOL=version=2" {
		count.Write(append(appendPacket(nil, "# service=git-upload-pack\n"), flushPacket...))
	}
	x.uploadPack(count, nil, "--http-backend-info-refs")
}

// fetch serves what the client asks for, of the mirror as it was advertised.
func (x *exchange) fetch() {
	body, err := x.body()
	if err != nil || x.r.Header.Get("Content-Type") != "application/x-git-upload-pack-request" {
		x.refuse(refusal{RuleNotGit, http.StatusBadRequest, "this is no question of git's"})
		return
	}
	id, ok := x.allow("")
	if !ok {
		return
	}
	count := &counter{w: x.w}
	defer func() { x.endFetch(id, nil, count.n) }()
	if x.mirror.isNew() {
		x.answerRefusal(refusal{RuleNotGit, http.StatusBadRequest, "nothing was advertised before this"})
		return
	}
	x.answerAs("application/x-git-upload-pack-result")
	x.uploadPack(count, io.LimitReader(body, maxQuestion), "--stateless-rpc")
}

// isNew tells whether there is no repository yet.
func (m *mirror) isNew() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.format == ""
}

func (x *exchange) answerAs(contentType string) {
	x.w.Header().Set("Content-Type", contentType)
	x.w.Header().Set("Cache-Control", "no-store")
}

// uploadPack runs it with what the guest sends and takes. A guest that stops reading
// is cut off by its connection's deadline.
func (x *exchange) uploadPack(out io.Writer, in io.Reader, mode string) {
	x.mirror.mu.RLock()
	defer x.mirror.mu.RUnlock()
	ctx, cancel := context.WithTimeout(x.r.Context(), refreshTime)
	defer cancel()
	cmd := x.mirror.git.Command(ctx, x.mirror.dir, x.protocol(), "upload-pack", "--strict", mode, x.mirror.dir)
	var told tail
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &moving{out, http.NewResponseController(x.w), x.door.options.Stall}, &told
	if err := cmd.Run(); err != nil && !isExit(err) {
		cancel()
	}
}

func isExit(err error) bool {
	_, ok := err.(*exec.ExitError)
	return ok
}

// endFetch writes the end line.
func (x *exchange) endFetch(id uint64, f *refusal, received int64) {
	l := decision.Line{Status: http.StatusOK, Received: received, Sent: max(0, x.r.ContentLength)}
	if f != nil {
		l.Status, l.Rule, l.Error = f.status, f.rule, short(f.message, 1000)
	}
	x.end(id, l)
}

// moving gives each piece its time.
type moving struct {
	w       io.Writer
	control *http.ResponseController
	stall   time.Duration
}

// Write writes, and sends at once: progress is for somebody who waits.
func (m *moving) Write(p []byte) (int, error) {
	m.control.SetWriteDeadline(time.Now().Add(m.stall))
	n, err := m.w.Write(p)
	if err == nil {
		m.control.Flush()
	}
	return n, err
}

// counter counts what goes to the guest.
type counter struct {
	w io.Writer
	n int64
}

// Write passes p on.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
