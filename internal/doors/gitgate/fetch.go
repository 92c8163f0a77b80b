package gitgate

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
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
	x.pass(func() *refusal {
		x.mirror.mu.Lock()
		err := x.mirror.refresh(x.r.Context())
		x.mirror.mu.Unlock()
		if err != nil {
			return x.failed("fetching from the upstream", err)
		}
		x.answerAs("application/x-git-upload-pack-advertisement")
		if !slices.Contains(x.protocol(), "GIT_PROTOCOL=version=2") { // as git-http-backend(1) does it
			x.w.Write(append(appendPacket(nil, "# service=git-upload-pack\n"), flushPacket...))
		}
		return x.uploadPack(nil, "--http-backend-info-refs")
	})
}

// failed tells that the upstream could not be asked.
func (x *exchange) failed(doing string, err error) *refusal {
	f := refusal{RuleUpstream, http.StatusBadGateway, fmt.Sprintf("%s: %v", doing, err)}
	x.answerRefusal(f)
	return &f
}

// fetch serves what the client asks for, of the mirror as it was advertised.
func (x *exchange) fetch() {
	body, err := x.body()
	if err != nil || x.r.Header.Get("Content-Type") != "application/x-git-upload-pack-request" || x.mirror.isNew() {
		x.refuse(refusal{RuleNotGit, http.StatusBadRequest, "this is no question of git's, or nothing was advertised before it"})
		return
	}
	x.pass(func() *refusal {
		x.answerAs("application/x-git-upload-pack-result")
		return x.uploadPack(io.LimitReader(body, maxQuestion), "--stateless-rpc")
	})
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

// uploadPack runs it with what the guest sends and takes. What it doesn't do it tells
// the guest itself; that a guest has heard enough and goes is no failure of its.
func (x *exchange) uploadPack(in io.Reader, mode string) *refusal {
	x.mirror.mu.RLock()
	defer x.mirror.mu.RUnlock()
	ctx, cancel := context.WithTimeoutCause(x.r.Context(), refreshTime, fmt.Errorf("not done within %v", refreshTime))
	defer cancel()
	cmd := x.mirror.git.Command(ctx, x.mirror.dir, x.protocol(), "upload-pack", "--strict", mode, x.mirror.dir)
	var told tail
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, x.w, &told
	if err := cmd.Run(); err != nil {
		return &refusal{RuleBroken, http.StatusOK, gitError(ctx, "upload-pack", err, &told).Error()}
	}
	return nil
}
