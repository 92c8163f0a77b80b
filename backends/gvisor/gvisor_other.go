//go:build !linux

package gvisor

import (
	"context"
	"errors"

	"github.com/bot-bottle/action/backends"
)

var errPlatform = errors.New("gVisor runs on Linux only")

// Create always gives an error on this platform.
func (*Backend) Create(context.Context, backends.Spec, backends.Handle) error { return errPlatform }

// Start always gives an error on this platform.
func (*Backend) Start(context.Context, backends.Spec, backends.Handle) (backends.Guest, error) {
	return nil, errPlatform
}

// Remove has nothing to remove on this platform.
func (*Backend) Remove(context.Context, backends.Handle) error { return nil }
