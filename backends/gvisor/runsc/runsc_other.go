//go:build !linux

package runsc

// Dispatch does nothing on this platform.
func Dispatch([]string) {}
