package forge

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// errTooLong says that an answer exceeded MaxAnswerBytes.
var errTooLong = fmt.Errorf("the answer has more than %d bytes", MaxAnswerBytes)

// Client gives an HTTP client for an API: answers are bounded in bytes and time,
// and redirects are not followed, so that a credential goes where it is meant to
// go and nowhere else. What fails for now is tried again with patience.
func Client(p Patience) *http.Client {
	return &http.Client{
		Timeout:       p.limit(),
		Transport:     bounded{retrying{http.DefaultTransport, p}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded cuts answers off with an error.
type bounded struct{ next http.RoundTripper }

// RoundTrip does the request.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = &boundedBody{answer.Body, MaxAnswerBytes}
	return answer, nil
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

// Read reads up to the bound, and is an error beyond it.
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 && (err == nil || errors.Is(err, io.EOF)) {
		return n, errTooLong
	}
	return n, err
}

// neverSent tells whether err came before anything of the request had left.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
