package egress

import (
	"bytes"
	"context"
	"net/http"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// own serves a request that is for the door itself.
func (c *guestConn) own(ctx context.Context, r *http.Request) bool {
	if intercept := c.door.options.Intercept; intercept != nil && r.Body == http.NoBody {
		w := &buffered{header: http.Header{}, status: http.StatusOK}
		if intercept(w, r.WithContext(ctx)) {
			keep := !wantsClose(r)
			return c.answerWhole(r, w.status, w.header, w.body.Bytes(), keep) == nil && keep
		}
	}
	line := decision.Line{Method: bounded(r.Method, maxLineMethod)}
	c.refuse(line, refuse(http.StatusBadRequest, RuleNotProxied,
		"this is the egress proxy of a bottle: set HTTP_PROXY and HTTPS_PROXY to it"), r)
	return false
}

// buffered is a ResponseWriter for short answers.
type buffered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *buffered) Header() http.Header         { return w.header }
func (w *buffered) WriteHeader(status int)      { w.status = status }
func (w *buffered) Write(b []byte) (int, error) { return w.body.Write(b) }
