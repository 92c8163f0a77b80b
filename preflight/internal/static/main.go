// Command static is a program without a dynamic loader, for tests.
package main

func main() {}
