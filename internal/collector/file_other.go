//go:build !linux

package collector

import "github.com/bot-bottle/action/internal/guest/probe"

// plantFile needs inotify(7).
func (s *Set) plantFile(string, string, []probe.Try) (member, error) { return nil, errAbsent }
