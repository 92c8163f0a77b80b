package egress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/bot-bottle/action/internal/doors/egress/modelapi"
	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

// modelChunk is how much of a body is reserved and read at once.
const modelChunk = 64 << 10

// modelJudges is how many bodies are judged at once.
const modelJudges = 2

// admitModel judges a request to a model's API by its head and its whole body,
// and puts what it has read in the body's place.
func (x *exchange) admitModel(ctx context.Context, out *http.Request) *refusal {
	api := x.decision.Route.Model
	if api == nil || mutation.On(mutation.EgressModelAny) {
		return nil
	}
	if webSocket(x.in) {
		return refuse(http.StatusForbidden, RuleModelEndpoint, "what goes through a WebSocket to a model's API can't be judged")
	}
	body, ref := x.readModelBody(ctx)
	if ref != nil {
		return ref
	}
	body, err := x.c.door.options.Scanner.Whole(x.decision.Route, body)
	if err != nil {
		x.in.Body = http.NoBody // all of it was read, the connection can go on
		return withheldBy(err, "the request carries what may not leave")
	}
	r := modelapi.Request{Method: out.Method, Path: x.target.path, Query: out.URL.RawQuery, Header: out.Header, Body: body}
	if refused := x.c.door.judgeModel(*api, r); refused != nil {
		x.in.Body = http.NoBody // all of it was read, the connection can go on
		return modelRefusal(refused)
	}
	x.replaceBody(out, body)
	x.beginCall(out, body)
	return nil
}

// judgeModel judges few bodies at a time: a hostile one takes some ten times its
// bytes while it is judged.
func (d *Door) judgeModel(api policy.ModelAPI, r modelapi.Request) *modelapi.Refusal {
	d.judging <- struct{}{}
	defer func() { <-d.judging }()
	return modelapi.Judge(api, r)
}

// modelRefusal is the refusal as the guest sees it. Its words go to the log too:
// they repeat a bounded, quoted part of the request.
func modelRefusal(r *modelapi.Refusal) *refusal {
	status := http.StatusForbidden
	if r.Rule == modelapi.RuleBody {
		status = http.StatusBadRequest
	}
	ref := refuse(status, r.Rule, r.Message).because(errors.New(r.Message))
	ref.hint = r.Hint
	return ref
}

// replaceBody sends body instead of what was read, with its length. Trailers, of
// which no model's API has any, are gone.
func (x *exchange) replaceBody(out *http.Request, body []byte) {
	x.in.Header.Del("Expect") // the guest was asked already
	out.Header.Del("Expect")
	x.in.Trailer = nil
	if x.in.Body == http.NoBody {
		return
	}
	x.in.Body = io.NopCloser(bytes.NewReader(body))
	out.ContentLength = int64(len(body))
}

// readModelBody reads the guest's body to its end, within the limits.
func (x *exchange) readModelBody(ctx context.Context) ([]byte, *refusal) {
	limit := x.c.door.options.Limits.ModelBody
	if x.in.ContentLength > limit {
		return nil, tooLong(limit)
	}
	if x.in.Header.Get("Expect") != "" && x.in.Body != http.NoBody {
		if err := newAnswer(x.c.out, x.in).inform(http.StatusContinue, nil); err != nil {
			return nil, failure(ctx, errGuestGone)
		}
	}
	var body bytes.Buffer
	for {
		if !x.reserveModel(modelChunk) {
			return nil, refuse(http.StatusServiceUnavailable, RuleModelBusy, "the requests to the model that are under way take up the memory for them")
		}
		_, err := io.CopyN(&body, x.in.Body, modelChunk)
		x.touch()
		switch {
		case int64(body.Len()) > limit:
			return nil, tooLong(limit)
		case err == io.EOF:
			return body.Bytes(), nil
		case err != nil && context.Cause(ctx) == nil && !isGone(err):
			return nil, malformed(errBadBody)
		case err != nil:
			return nil, failure(ctx, errors.Join(errGuestGone, err))
		}
	}
}

func tooLong(limit int64) *refusal {
	return refuse(http.StatusRequestEntityTooLarge, RuleModelBody, fmt.Sprintf("a request to the model has at most %d bytes", limit))
}

// reserveModel takes n bytes of what model requests may hold, if they are left.
func (x *exchange) reserveModel(n int64) bool {
	d := x.c.door
	if d.modelBytes.Add(n) > d.options.Limits.ModelMemory {
		d.modelBytes.Add(-n)
		return false
	}
	x.modelBytes += n
	return true
}

func (x *exchange) releaseModel() { x.c.door.modelBytes.Add(-x.modelBytes) }
