//go:build !linux

package smolmachines

import (
	"context"
	"errors"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/preflight"
)

var errPlatform = errors.New("smolmachines runs on Linux only yet")

// Main always fails on this platform.
func Main([]string) int { return 1 }

// Checks always fail on this platform.
func (*Backend) Checks(backends.Spec) []preflight.Check {
	return []preflight.Check{{ID: "platform", Subject: Name, Run: func(context.Context) preflight.Finding {
		return preflight.Finding{Status: preflight.Fail, Found: errPlatform.Error(), Remedy: "use a backend that this system has"}
	}}}
}

// Create always gives an error on this platform.
func (*Backend) Create(context.Context, backends.Spec, backends.Handle) error { return errPlatform }

// Start always gives an error on this platform.
func (*Backend) Start(context.Context, backends.Spec, backends.Handle) (backends.Guest, error) {
	return nil, errPlatform
}

// Remove has nothing to remove on this platform.
func (*Backend) Remove(context.Context, backends.Handle) error { return nil }
