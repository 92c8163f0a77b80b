package egress

import (
	"container/list"
	"sync"
)

// connections counts the guest's connections. When there are too many, the one
// that has waited longest for its next request gives way, so a guest that opens
// thousands and leaves them idle can't keep its own other requests out.
type connections struct {
	limit int

	mu   sync.Mutex
	all  map[*guestConn]*list.Element // nil while a request is under way
	idle list.List                    // of *guestConn, longest first
}

func newConnections(limit int) *connections {
	return &connections{limit: limit, all: map[*guestConn]*list.Element{}}
}

// add takes c in as an idle connection, or says that there is no place.
func (s *connections) add(c *guestConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= s.limit {
		longest := s.idle.Front()
		if longest == nil {
			return false
		}
		evicted := s.idle.Remove(longest).(*guestConn)
		delete(s.all, evicted)
		evicted.raw.Close()
	}
	s.all[c] = s.idle.PushBack(c)
	return true
}

// start takes c out of the idle ones for the time of x. It gives false for a
// connection that had to give way.
func (s *connections) start(c *guestConn, x *exchange) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, held := s.all[c]
	if !held {
		return false
	}
	if e != nil {
		s.idle.Remove(e)
	}
	s.all[c] = nil
	c.current = x
	return true
}

// finish makes c idle again.
func (s *connections) finish(c *guestConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.current = nil
	if e, held := s.all[c]; held && e == nil {
		s.all[c] = s.idle.PushBack(c)
	}
}

func (s *connections) remove(c *guestConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.all[c]; e != nil {
		s.idle.Remove(e)
	}
	delete(s.all, c)
}

// opened records that c has become a tunnel to a.
func (s *connections) opened(c *guestConn, a authority) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.tunnel = &a
}

// judgeAgain ends, under a new policy, what it no longer allows: requests under
// way, and open tunnels.
func (s *connections) judgeAgain(rules *ruleset) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		switch {
		case c.current != nil:
			if !rules.judge(c.current.judged).Allowed {
				c.current.cancel(errSwapped)
			}
		case c.tunnel != nil:
			if !rules.connect(*c.tunnel).Allowed {
				c.raw.Close()
			}
		}
	}
}

// closeAll ends every connection because the door is closing. A request under
// way is told so first: else it could take its closed connection for a guest
// that went away.
func (s *connections) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		if c.current != nil {
			c.current.cancel(errClosing)
		}
		c.raw.Close()
	}
}
