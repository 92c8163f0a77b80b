package egress

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/bot-bottle/action/internal/policy"
)

// budget counts what the door has passed on in the whole life of its bottle.
// A swapped policy brings limits of its own and no new beginning.
type budget struct {
	mu       sync.Mutex
	requests int64
	bytes    int64 // of heads, bodies and trailers, as HTTP/1.1 writes them
	used     spent // by calls to a model's API that are over
	aside    spent // for those under way
}

// errBytesSpent ends what was under way when the last byte was spent.
var errBytesSpent = errors.New("the bottle's egress bytes are used up")

// admit counts one request with a head, and a body where its length is known, or
// says which limit leaves no room. What is refused isn't counted. The body's own
// bytes are counted as they pass.
func (b *budget) admit(l policy.Limits, head, body int64) *refusal {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.requests >= l.Requests {
		return refuse(http.StatusTooManyRequests, RuleLimitRequests,
			fmt.Sprintf("this bottle's %d requests are used up (limits.requests)", l.Requests))
	}
	if left := l.EgressBytes - b.bytes; head > left || body > left-head {
		return bytesSpent(l)
	}
	b.requests++
	b.bytes += head
	return nil
}

func bytesSpent(l policy.Limits) *refusal {
	return refuse(http.StatusTooManyRequests, RuleLimitBytes,
		fmt.Sprintf("what is left of this bottle's %d bytes is too little for the request (limits.egress_bytes)", l.EgressBytes))
}

// spend counts n bytes, all or nothing, and tells whether they may pass.
func (b *budget) spend(l policy.Limits, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > l.EgressBytes-b.bytes {
		return false
	}
	b.bytes += n
	return true
}

// spend counts n bytes of the exchange; without room for them it is broken off.
func (x *exchange) spend(n int64) error {
	if x.c.door.budget.spend(x.rules.limits, n) {
		return nil
	}
	x.cancel(errBytesSpent)
	return errBytesSpent
}

// spending is a stream on its way upstream, of which every byte is counted before
// it is given out.
type spending struct {
	x      *exchange
	stream io.Reader
}

// Read gives nothing of what there is no room for.
func (s spending) Read(p []byte) (int, error) {
	n, err := s.stream.Read(p)
	if n > 0 {
		if err := s.x.spend(int64(n)); err != nil {
			return 0, err
		}
	}
	return n, err
}

// headSize is how long the request line and the fields are in HTTP/1.1, with the
// token that the door adds.
func (x *exchange) headSize(out *http.Request) int64 {
	const lineEnd, separator = 2, 2
	n := len(out.Method) + len(" ") + len(out.URL.RequestURI()) + len(" HTTP/1.1") + lineEnd
	n += len("Host") + separator + len(out.Host) + lineEnd
	if x.upstream.field != "" {
		n += len(x.upstream.field) + separator + len(x.upstream.value) + lineEnd
	}
	return int64(n) + fieldsSize(out.Header) + lineEnd
}

func fieldsSize(header http.Header) int64 {
	n := 0
	for name, values := range header {
		for _, v := range values {
			n += len(name) + len(": ") + len(v) + len("\r\n")
		}
	}
	return int64(n)
}
