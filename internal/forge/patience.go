package forge

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Patience says how often a request is tried again, and how long is waited for
// that. The zero value tries once.
//
// A request is tried again where the forge said that it did nothing (429, and 403
// or 503 with a Retry-After), where it was never sent, and, if it may safely be
// sent twice (all but POST), after any 5xx or a broken connection, too.
type Patience struct {
	Tries int           // in all; 0 and 1: one
	First time.Duration // before the second try, doubled for each one after it
	Most  time.Duration // of one wait; a Retry-After that is longer ends the tries
}

// Posting is the patience for what has to arrive: about half a minute of a forge
// that restarts or asks us to be slower.
var Posting = Patience{Tries: 6, First: time.Second, Most: 30 * time.Second}

// limit bounds a request with all its tries.
func (p Patience) limit() time.Duration {
	return Timeout + time.Duration(max(0, p.Tries-1))*(Timeout+p.Most)
}

// retrying does requests with patience; each try has Timeout.
type retrying struct {
	next http.RoundTripper
	Patience
}

// RoundTrip gives the first answer, or error, that is final.
func (r retrying) RoundTrip(req *http.Request) (*http.Response, error) {
	wait := r.First
	for try := 1; ; try++ {
		answer, err := r.once(req)
		pause, again := r.pause(req, answer, err, wait)
		if !again || try >= r.Tries {
			return answer, err
		}
		if answer != nil {
			answer.Body.Close()
		}
		if err := rewind(req); err != nil {
			return nil, err
		}
		if err := sleep(req.Context(), pause); err != nil {
			return nil, err
		}
		wait = min(2*wait, r.Most)
	}
}

// once does one try. Its limit counts until the body is closed.
func (r retrying) once(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), Timeout)
	answer, err := r.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	answer.Body = &endingBody{answer.Body, cancel}
	return answer, nil
}

type endingBody struct {
	io.ReadCloser
	end context.CancelFunc
}

// Close ends the try.
func (b *endingBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// pause tells whether to try again, and how long to wait before that.
func (r retrying) pause(req *http.Request, answer *http.Response, err error, wait time.Duration) (time.Duration, bool) {
	twice := req.Method != http.MethodPost
	if req.Context().Err() != nil || req.Body != nil && req.GetBody == nil {
		return 0, false
	}
	if err != nil {
		return wait, twice || neverSent(err)
	}
	asked, told := retryAfter(answer)
	switch status := answer.StatusCode; {
	case told && asked > r.Most:
		return 0, false
	case status == http.StatusTooManyRequests, told && (status == http.StatusForbidden || status == http.StatusServiceUnavailable):
		return max(wait, asked), true
	default:
		return max(wait, asked), twice && status >= 500
	}
}

// retryAfter reads the header of that name, in seconds or as a date (RFC 9110
// §10.2.3), the latter by the forge's own clock.
func retryAfter(answer *http.Response) (time.Duration, bool) {
	value := answer.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(0, at.Sub(now)), true
}

func rewind(req *http.Request) (err error) {
	if req.GetBody != nil {
		req.Body, err = req.GetBody()
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
