//go:build !linux

package main

func main() { panic("a guest is always Linux") }
