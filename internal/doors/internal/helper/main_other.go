//go:build !linux

// Command helper is what the tests of package doors run. It does nothing where
// there is no sidecar.
package main

func main() {}
