//go:build !linux

package attack

import "errors"

func fork() (int, error) { return 0, errors.New("guests are Linux") }
