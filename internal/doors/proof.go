package doors

import (
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/mutation"
)

// proof watches for the nonce at the doors, once each.
type proof struct {
	nonce  string
	report func(sighting) error // returns when the supervisor can read it

	mu    sync.Mutex
	ended bool
	seen  map[decision.Door]bool
}

func newProof(nonce string, report func(sighting) error) *proof {
	return &proof{nonce: nonce, report: report, seen: map[decision.Door]bool{}}
}

// at gives what intercepts the requests at a door. It answers after the report,
// so that the supervisor knows no later than the guest.
func (p *proof) at(door decision.Door) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !p.matches(r) || !mutation.On(mutation.DoorDeaf) && !p.see(door) {
			return false
		}
		w.WriteHeader(http.StatusNoContent)
		return true
	}
}

func (p *proof) matches(r *http.Request) bool {
	nonce, ok := strings.CutPrefix(r.URL.Path, ProofPath)
	return ok && r.Method == http.MethodGet && subtle.ConstantTimeCompare([]byte(nonce), []byte(p.nonce)) == 1
}

// see tells whether the nonce still counts at door and the supervisor knows.
func (p *proof) see(door decision.Door) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	if !p.seen[door] {
		p.seen[door] = p.report(sighting{door, time.Now().UTC()}) == nil
	}
	return p.seen[door]
}

// end makes the nonce a request like any other.
func (p *proof) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
}
