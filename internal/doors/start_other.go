//go:build !linux

package doors

import (
	"context"
	"errors"
)

// Start starts a sidecar. It does so on Linux only.
func Start(context.Context, StartOptions) (*Sidecar, error) {
	return nil, errors.New("starting the sidecar: it confines itself by means that only Linux has")
}
