package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

// exchange is one request and its answer.
type exchange struct {
	c      *guestConn
	in     *http.Request // as the guest wrote it
	target target
	cancel context.CancelCauseFunc

	rules    *ruleset
	judged   policy.Request // what the policy was asked, and is asked again by Swap
	decision policy.Decision
	upstream *upstream

	line    decision.Line
	started time.Time
	answer  *answer
	body    *requestBody
	gone    *watch
	idle    *time.Timer

	modelBytes int64 // held of Limits.ModelMemory
	call       *call // to a model's API; nil for other requests

	warned warnings

	sent, received atomic.Int64
	whole          bool     // the guest has a whole answer
	told           *refusal // what the guest was answered in the upstream's place; nil: nothing
}

// exchange judges one request, passes it on and answers it. It tells whether the
// connection can take another.
func (c *guestConn) exchange(ctx context.Context, in *http.Request, t target) bool {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	x := &exchange{c: c, in: in, target: t, cancel: cancel, line: t.line(in.Method)}
	if !x.begin() {
		return false
	}
	defer c.door.connections.finish(c)

	defer x.releaseModel()
	defer x.settleCall(false)

	x.idle = time.AfterFunc(c.door.options.Limits.IdleTime, func() { cancel(errIdle) })
	defer x.idle.Stop()
	unblock := context.AfterFunc(ctx, c.unblock)

	if mutation.On(mutation.EgressResolve) {
		c.door.addresses.lookup(ctx, t.host)
	}
	id, out, ref := x.admit(ctx)
	if ref != nil {
		c.refuse(x.line, ref, in)
		return unblock() && keepable(in)
	}
	status, err := x.pass(ctx, out)
	x.end(ctx, id, status, err)
	return unblock() && x.whole && x.keep()
}

// begin judges the request under the policy in force and makes it known to Swap,
// in one step, so that no request escapes a swap.
func (x *exchange) begin() bool {
	d := x.c.door
	header := x.in.Header.Clone()
	dropHopByHop(header)
	dropOverrides(header)
	x.judged = policy.Request{
		Method: x.in.Method, Scheme: x.target.scheme, Host: x.target.host, Port: x.target.port, Path: x.target.path, Header: header,
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	x.rules = d.rules
	x.decision = x.rules.judge(x.judged)
	x.line.Epoch, x.line.Route = x.rules.epoch, x.decision.RouteName
	return d.connections.start(x.c, x)
}

// admit makes the request that goes upstream and writes the verdict that lets it
// go, or says why it may not.
func (x *exchange) admit(ctx context.Context) (id uint64, out *http.Request, ref *refusal) {
	if !x.decision.Allowed {
		return 0, nil, notAllowed(x.decision, x.target.authority)
	}
	if ref := x.refuseGitPush(); ref != nil {
		return 0, nil, ref
	}
	x.upstream = x.rules.upstream(x.decision.Route)
	out, ref = x.outgoing()
	if ref != nil {
		return 0, nil, ref
	}
	if ref := x.admitModel(ctx, out); ref != nil {
		return 0, nil, ref
	}
	to, ref := x.c.door.addresses.destination(ctx, x.upstream, x.target.authority)
	if ref != nil {
		return 0, nil, ref
	}
	if ref := x.setAside(); ref != nil {
		return 0, nil, ref
	}
	if ref := x.c.door.budget.admit(x.rules.limits, x.headSize(out), out.ContentLength); ref != nil {
		return 0, nil, ref
	}
	id, err := x.c.verdict(x.line, decision.Allow, x.decision.Rule)
	if err != nil {
		return 0, nil, refuse(http.StatusServiceUnavailable, RuleLog, "the decision could not be recorded").because(err)
	}
	x.started = time.Now()
	return id, out.WithContext(withDestination(ctx, to)), nil
}

// outgoing makes the request for the upstream from what was judged: without what
// belongs to the connection, and without the agent's own credentials. The token
// is not in it yet, so that the scanner doesn't see it.
func (x *exchange) outgoing() (*http.Request, *refusal) {
	header := http.Header(x.judged.Header).Clone()
	dropped := dropCredentialFields(header, x.decision.Route)
	query, alsoDropped := dropCredentialParameters(x.target.query, x.decision.Route)
	x.line.Dropped = slices.Concat(dropped, alsoDropped)

	to := x.target
	to.query = query
	u, err := to.url()
	if err != nil {
		return nil, malformed(err)
	}
	if _, named := header["User-Agent"]; !named {
		header["User-Agent"] = nil // or net/http adds its own
	}
	out := &http.Request{
		Method: x.in.Method, URL: u, Host: to.hostField(), Header: header, ContentLength: x.in.ContentLength,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if webSocket(x.in) {
		header["Connection"], header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	}
	if x.in.Header.Get("Expect") != "" && x.in.Body != http.NoBody {
		header["Expect"] = []string{"100-continue"}
	}
	if err := x.c.door.options.Scanner.Request(x.decision.Route, out); err != nil {
		return nil, withheldBy(err, "the request carries what may not leave")
	}
	return out, nil
}

// pass sends out and answers the guest with what comes back. It gives the status
// the guest saw, and the error that broke the exchange off.
func (x *exchange) pass(ctx context.Context, out *http.Request) (status int, err error) {
	x.answer = newAnswer(x.c.out, x.in)
	x.gone = &watch{c: x.c, lost: func() { x.cancel(errGuestGone) }}
	defer x.gone.stop()
	x.attachBody(out)
	if out.URL.Scheme == "https" {
		x.upstream.inject(out)
	}
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		if code == http.StatusContinue { // sent when the body is first read
			return nil
		}
		own := http.Header(header).Clone()
		x.clean(own)
		if err := x.c.door.options.Scanner.Answer(x.decision.Route, own); err != nil {
			return scanError{err}
		}
		return x.answer.inform(code, own)
	}}
	response, err := x.upstream.transport.RoundTrip(out.WithContext(httptrace.WithClientTrace(out.Context(), trace)))
	if err != nil {
		return x.failed(ctx, err)
	}
	defer response.Body.Close()
	if cause := context.Cause(ctx); cause != nil { // the answer is to a request that was broken off
		return x.failed(ctx, cause)
	}
	x.idle.Reset(x.c.door.options.Limits.IdleTime)
	if err := x.c.door.options.Scanner.Answer(x.decision.Route, response.Header); err != nil {
		return x.failed(ctx, scanError{err})
	}
	switch code := response.StatusCode; {
	case code == http.StatusSwitchingProtocols:
		return x.upgrade(ctx, out, response)
	case code < http.StatusOK:
		return x.failed(ctx, fmt.Errorf("reading the answer: status %d is not final", code))
	}
	err = x.respond(response)
	x.whole = err == nil
	return response.StatusCode, err
}

// scanError marks what the scanner withheld.
type scanError struct{ error }

// Unwrap gives the scanner's reason.
func (e scanError) Unwrap() error { return e.error }

// failed answers for an upstream that gave no response.
func (x *exchange) failed(ctx context.Context, err error) (int, error) {
	ref := failure(ctx, err)
	x.told = ref // who has this answer may be gone before the end line is written
	x.answer.final()
	x.c.answerError(ref, x.in)
	x.whole = keepable(x.in)
	return ref.status, err
}

// failure names what went wrong, in words that tell the guest nothing of the
// host's network.
func failure(ctx context.Context, err error) *refusal {
	cause := context.Cause(ctx)
	if w, ok := errors.AsType[*Withheld](cause); ok {
		return w.refusal()
	}
	switch {
	case errors.Is(cause, errIdle):
		return refuse(http.StatusGatewayTimeout, RuleIdle, "the upstream kept silent for too long")
	case errors.Is(cause, errSwapped):
		return refuse(http.StatusForbidden, RuleSwapped, "a newer policy does not allow this request")
	case errors.Is(cause, errBytesSpent):
		return refuse(http.StatusTooManyRequests, RuleLimitBytes, "this bottle's bytes are used up (limits.egress_bytes)")
	case errors.Is(cause, errBadBody):
		return malformed(errBadBody)
	case errors.Is(cause, errGuestGone), cause == nil && errors.Is(err, errGuestGone):
		return refuse(http.StatusBadGateway, RuleGuestGone, "the guest closed its connection")
	case cause != nil:
		return refuse(http.StatusServiceUnavailable, RuleClosing, "the bottle is being closed")
	}
	if s, ok := errors.AsType[scanError](err); ok {
		return withheldBy(s.error, "the answer carries what may not enter")
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return refuse(http.StatusBadGateway, RuleCertificate, "the upstream's certificate does not verify")
	}
	if isTLS(err) {
		return refuse(http.StatusBadGateway, RuleUpstreamTLS, "the upstream's TLS is broken")
	}
	if isDial(err) {
		return refuse(http.StatusBadGateway, RuleUnreachable, "the upstream can't be reached")
	}
	return refuse(http.StatusBadGateway, RuleUpstream, "the upstream broke off")
}

// end writes the end line of an allowed request.
func (x *exchange) end(ctx context.Context, id uint64, status int, err error) {
	l := decision.Line{
		Door: decision.Egress, Epoch: x.line.Epoch, Route: x.line.Route,
		Status: status, Sent: x.sent.Load(), Received: x.received.Load(), Duration: time.Since(x.started),
	}
	if err != nil {
		ref := x.told
		if ref == nil {
			ref = failure(ctx, err)
		}
		l.Rule, l.Error = ref.rule, bounded(err.Error(), maxLineError)
	}
	l.Usage, l.Warned = x.settleCall(err == nil), x.warned.all()
	x.c.door.options.Log.End(id, l)
}

// keep tells whether the guest's connection is at the end of a request, so that
// the next can be read from it.
func (x *exchange) keep() bool {
	return !wantsClose(x.in) && (x.in.Body == http.NoBody || x.body != nil && x.body.ended())
}

// touch says that a byte has moved.
func (x *exchange) touch() { x.idle.Reset(x.c.door.options.Limits.IdleTime) }
