package egress

import (
	"net/http"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// The bounds of what the guest chose in a line: a registered method has at most
// 17 letters, a host at most 253, models have some 40, and longer paths tell a reader no more.
const (
	maxLineMethod = 32
	maxLineHost   = 253
	maxLinePath   = 1024
	maxLineError  = 512
	maxLineModel  = 64
)

// line gives the decision line of a request for t.
func (t target) line(method string) decision.Line {
	l := t.authority.line(method)
	l.Scheme = t.scheme
	l.Path = bounded(t.path, maxLinePath)
	return l
}

func (a authority) line(method string) decision.Line {
	return decision.Line{
		Method: bounded(method, maxLineMethod),
		Host:   bounded(a.host.String(), maxLineHost),
		Port:   a.port,
	}
}

func bounded(s string, limit int) string {
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}

// verdict completes l and writes it.
func (c *guestConn) verdict(l decision.Line, v decision.Verdict, rule string) (uint64, error) {
	l.Door, l.Peer, l.Verdict, l.Rule = decision.Egress, c.peer, v, rule
	if l.Epoch == 0 {
		l.Epoch = c.door.current().epoch
	}
	return c.door.options.Log.Verdict(l)
}

// refuse records a refusal and answers the guest.
func (c *guestConn) refuse(l decision.Line, ref *refusal, r *http.Request) {
	c.record(l, ref, func() int64 { return c.answerError(ref, r) })
}

// record writes the verdict of a refusal, calls answer, which gives how many bytes
// the guest was sent, and writes the end. Where the record can't be written the
// guest is answered all the same: nothing passes either way.
func (c *guestConn) record(l decision.Line, ref *refusal, answer func() int64) {
	if ref.detail != nil {
		l.Error = bounded(ref.detail.Error(), maxLineError)
	}
	id, err := c.verdict(l, decision.Refuse, ref.rule)
	sent := answer()
	if err == nil {
		c.door.options.Log.End(id, decision.Line{
			Door: decision.Egress, Epoch: l.Epoch, Rule: ref.rule, Route: l.Route, Status: ref.status, Received: sent,
		})
	}
}
