package egress

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/meter"
	"github.com/bot-bottle/action/internal/mutation"
)

// call is a request to a model's API, as far as it takes tokens.
type call struct {
	request meter.Request
	free    bool // it takes none
	price   *meter.Price

	aside   spent
	open    bool         // what is set aside was not settled
	meter   *meter.Meter // of an answer that is one; nil: there was none
	refused bool         // the upstream's answer was an error
}

// beginCall reads what a judged request to a model may take, and asks the upstream for
// an answer that can be read as it passes.
func (x *exchange) beginCall(out *http.Request, body []byte) {
	out.Header.Set("Accept-Encoding", "identity")
	x.call = &call{
		request: meter.NewRequest(x.wire(), x.target.path, body),
		free:    meter.Free(out.Method, x.target.path),
	}
	if p, found := x.c.door.options.Prices.Of(x.call.request.Model); found {
		x.call.price = &p
	}
}

func (x *exchange) wire() meter.Wire { return meter.Wire(x.decision.Route.Model.Wire) }

// setAside keeps what the call may take, or refuses it.
func (x *exchange) setAside() *refusal {
	c, limits := x.call, x.rules.limits
	if c == nil {
		return nil
	}
	if !c.free {
		if limits.Cost > 0 && c.price == nil && !mutation.On(mutation.EgressUnpriced) {
			return unpriced(c.request.Model)
		}
		c.aside = c.spent(c.request.Most())
	}
	if ref := x.c.door.budget.setAside(limits, c.aside); ref != nil {
		return ref
	}
	c.open = true
	return nil
}

// unpriced refuses a call of which nobody can say what it costs.
func unpriced(model string) *refusal {
	name := strconv.QuoteToASCII(bounded(model, maxLineModel))
	ref := refuse(http.StatusForbidden, RuleModelPrice, "the model "+name+" has no price, and limits.cost of this bottle needs one")
	ref.hint = "# in " + meter.PricesFile + ", or in config.yaml beside it, US dollars for a million tokens\nprices:\n  - {model: " + name + ", input: …, output: …, cache_write: …, cache_read: …}\n"
	ref.lasting = true
	return ref.because(errors.New(ref.message))
}

// spent is what u counts of the limits.
func (c *call) spent(u meter.Usage) spent {
	s := spent{tokens: u.Total()}
	if c.price != nil {
		s.cost = c.price.Cost(u)
	}
	return s
}

// metered gives an answer's body, which is read along if it is a model's. What an
// upstream refuses costs nothing.
func (x *exchange) metered(response *http.Response) io.Reader {
	if x.call == nil || x.call.free {
		return response.Body
	}
	if response.StatusCode/100 != 2 {
		x.call.refused = true
		return response.Body
	}
	x.call.meter = meter.New(x.wire(), response.Header.Get("Content-Encoding"))
	return io.TeeReader(response.Body, x.call.meter)
}

// settleCall counts what the call took, once, and gives it for the end line; nil for
// one that took nothing. Whole says that the answer came to its end.
func (x *exchange) settleCall(whole bool) *decision.Usage {
	c := x.call
	if c == nil || !c.open {
		return nil
	}
	c.open = false
	usage, took := c.usage(x.sent.Load(), whole)
	model := c.model(x.c.door.options.Prices)
	x.c.door.budget.settle(c.aside, c.spent(usage))
	if !took {
		return nil
	}
	l := &decision.Usage{
		Model: bounded(model, maxLineModel), Input: usage.Input, Output: usage.Output,
		CacheWrite: usage.CacheWrite, CacheRead: usage.CacheRead, Estimated: usage.Estimated,
	}
	if c.price != nil {
		cost := c.price.Cost(usage)
		l.Cost = &cost
	}
	return l
}

// model names what answered, in the upstream's words, and takes its price. What the
// guest called it goes into no report: where the upstream says nothing, the table of
// prices has the name.
func (c *call) model(prices meter.Prices) string {
	if c.meter != nil && c.meter.Model() != "" {
		if p, found := prices.Of(c.meter.Model()); found {
			c.price = &p
		}
		return c.meter.Model()
	}
	if c.price != nil {
		return c.price.Model
	}
	return ""
}

// usage gives what the call took of which sent bytes went out. No answer at all counts
// as the longest: a model may have gone on without a reader.
func (c *call) usage(sent int64, whole bool) (u meter.Usage, took bool) {
	switch {
	case c.free || c.refused || c.meter == nil && sent == 0:
		return u, false
	case c.meter == nil:
		u = c.request.Most()
	default:
		u = c.meter.Usage(c.request, whole)
	}
	if u.Estimated && mutation.On(mutation.EgressBelieve) {
		u = meter.Usage{}
	}
	return u, true
}
