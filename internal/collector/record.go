package collector

import (
	"bytes"
	"time"

	"github.com/bot-bottle/action/internal/guest/probe"
)

// maxHits bounds what a flood makes us keep; the first one decides.
const maxHits = 1000

// change runs do under the lock and wakes who waits.
func (s *Set) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	close(s.changed)
	s.changed = make(chan struct{})
}

// begins notes that something arrived whose content is still to be read. It is
// called in the order of arrival.
func (s *Set) begins(name string) { s.change(func() { s.open[name]++ }) }

// ends notes what it was.
func (s *Set) ends(name, from string, content []byte) {
	s.change(func() {
		s.open[name]--
		s.note(name, from, content)
	})
}

// arrived notes something that came as a whole.
func (s *Set) arrived(name, from string, content []byte) {
	s.change(func() { s.note(name, from, content) })
}

// isTouch tells our own touch from everything else.
func (s *Set) isTouch(content []byte) bool { return bytes.Contains(content, []byte(s.token)) }

func (s *Set) note(name, from string, content []byte) {
	switch {
	case s.isTouch(content):
		s.touched[name]++
	case len(s.hits) < maxHits:
		s.hits = append(s.hits, probe.Hit{
			Collector: name, From: from, Time: time.Now().UTC(),
			Nonce: bytes.Contains(content, []byte(s.nonce)),
		})
	}
}
