//go:build !linux

package confine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

var errPlatform = errors.New("confining a helper needs Linux namespaces")

// WatchInterval is how often the memory in use is looked at.
const WatchInterval = 20 * time.Millisecond

// Process is a running helper; there is none on this platform.
type Process struct{}

// Options are the caller's side of Start.
type Options struct {
	Executable string
	Stdout     io.Writer
	Stderr     io.Writer
	Recorded   func(Record) error
}

// Start always gives an error on this platform.
func Start(context.Context, Spec, Options) (*Process, error) { return nil, errPlatform }

// Record gives the zero Record.
func (p *Process) Record() Record { return Record{} }

// Done gives a channel that is never closed.
func (p *Process) Done() <-chan struct{} { return nil }

// Err always gives an error on this platform.
func (p *Process) Err() error { return errPlatform }

// Kill does nothing.
func (p *Process) Kill() {}

// End always gives an error on this platform.
func End(context.Context, Record) error { return errPlatform }

// Main is the hidden verb; it gives exit code 2.
func Main([]string) int {
	fmt.Fprintln(os.Stderr, errPlatform)
	return 2
}

// Try always gives an error on this platform.
func Try(context.Context, string, int) error { return errPlatform }

// BootID always gives an error on this platform.
func BootID() (string, error) { return "", errPlatform }

// RefOf always gives an error on this platform.
func RefOf(int) (ProcessRef, error) { return ProcessRef{}, errPlatform }

// RecordOf always gives an error on this platform.
func RecordOf(int, int) (Record, error) { return Record{}, errPlatform }

// PIDNamespace always gives an error on this platform.
func PIDNamespace() (uint64, error) { return 0, errPlatform }
