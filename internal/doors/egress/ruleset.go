package egress

import (
	"fmt"
	"math"
	"reflect"
	"sync"

	"github.com/bot-bottle/action/internal/mutation"
	"github.com/bot-bottle/action/internal/policy"
)

// matcher is what of policy.Matcher the door asks.
type matcher interface {
	Judge(policy.Request) policy.Decision
	Connect(policy.Host, uint16) policy.Decision
}

// ruleset is one policy made ready. It is replaced whole.
type ruleset struct {
	epoch   uint64
	matcher matcher
	limits  policy.Limits // complete
	// upstreams are those of the policy's routes; found has them by the
	// matcher's own copies of the routes.
	upstreams []*upstream
	found     sync.Map // *policy.Route → *upstream
}

func newRuleset(p policy.Policy, o *Options) (*ruleset, error) {
	m, err := policy.NewMatcher(p.Egress)
	if err != nil {
		return nil, err
	}
	r := &ruleset{epoch: p.Epoch, matcher: m, limits: p.Limits.WithDefaults()}
	if mutation.On(mutation.EgressNoBudget) {
		r.limits.Requests, r.limits.EgressBytes = math.MaxInt64, math.MaxInt64
	}
	routes := p.Egress.Routes
	if mutation.On(mutation.EgressAllowAll) {
		anywhere := policy.Route{Host: "*"}
		r.matcher, routes = allowAll{&anywhere}, append(routes[:len(routes):len(routes)], anywhere)
	}
	for i := range routes {
		up, err := newUpstream(&routes[i], o)
		if err != nil {
			return nil, fmt.Errorf("preparing route %q: %w", routes[i].Host, err)
		}
		r.upstreams = append(r.upstreams, up)
	}
	return r, nil
}

func (r *ruleset) judge(request policy.Request) policy.Decision { return r.matcher.Judge(request) }

func (r *ruleset) connect(a authority) policy.Decision { return r.matcher.Connect(a.host, a.port) }

// upstream gives the one of a decision's route. Routes that are equal may share.
func (r *ruleset) upstream(route *policy.Route) *upstream {
	if up, ok := r.found.Load(route); ok {
		return up.(*upstream)
	}
	for _, up := range r.upstreams {
		if reflect.DeepEqual(up.route, route) {
			r.found.Store(route, up)
			return up
		}
	}
	panic("egress: the matcher gave a route that is not the policy's")
}

// retire lets go of connections; requests under way keep theirs.
func (r *ruleset) retire() {
	for _, up := range r.upstreams {
		up.transport.CloseIdleConnections()
	}
}

// allowAll stands in for the matcher in a test build with the defence off.
type allowAll struct{ anywhere *policy.Route }

func (a allowAll) Judge(r policy.Request) policy.Decision { return a.Connect(r.Host, r.Port) }

func (a allowAll) Connect(policy.Host, uint16) policy.Decision {
	return policy.Decision{Allowed: true, Rule: policy.RuleRoute, Route: a.anywhere, RouteName: "*"}
}
