//go:build !linux

package main

import "errors"

// boot always gives an error on this platform: there is no gVisor.
func (*world) boot(string) error { return errors.New("the double boots on Linux only") }
