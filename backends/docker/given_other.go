//go:build !linux

package docker

import (
	"context"
	"errors"

	"github.com/bot-bottle/action/backends"
)

// Given always gives an error on this platform, where no engine is taken.
func (*guest) Given(context.Context) (backends.Given, error) {
	return backends.Given{}, errors.New("containers run on Linux only")
}

// Wanted is nothing on this platform.
func (*guest) Wanted() backends.Given { return backends.Given{} }

// watch sees nothing on this platform.
func watch(int) (alive func() bool) { return func() bool { return false } }
