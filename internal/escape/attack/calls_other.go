//go:build !linux

package attack

import "errors"

var errPlatform = errors.New("a guest is a Linux system")

func leaveNetwork() error                  { return errPlatform }
func leaveUsers() error                    { return errPlatform }
func leaveNamespaces() error               { return errPlatform }
func mount(_, _ string) error              { return errPlatform }
func unmount()                             {}
func (d device) make(string) error         { return errPlatform }
func addRoute() error                      { return errPlatform }
func systemCalls() map[string]func() error { return nil }
